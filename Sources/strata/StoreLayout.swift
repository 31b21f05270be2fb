import StrataDisk
import StrataRESP
import SystemPackage

/// An engine, and the files by which a directory shows that its store was made with it.
enum StoreLayout: String, CaseIterable {
  case lsm, bitcask

  /// The engine of the store in `directory`; `nil` where there is none yet.
  ///
  /// Both have `CURRENT` and a manifest. The ordered engine keeps its log in a directory of its own; Bitcask's segments lie beside the manifest.
  static func recognize(_ directory: FilePath, on fileSystem: any FileSystem) throws(EngineError) -> StoreLayout? {
    let names: [String]
    do { names = try fileSystem.list(directory) } catch {
      if case .notFound = error { return nil }
      throw EngineError(.failed, error.description)
    }
    if names.contains("log") || names.contains(where: { $0.hasSuffix(".sst") }) { return .lsm }
    return names.contains { $0.hasSuffix(".data") || $0.hasSuffix(".hint") || $0 == "CURRENT" } ? .bitcask : nil
  }

  /// - Throws: `.refused` where the directory's store was made with another engine.
  func check(_ directory: FilePath, on fileSystem: any FileSystem = POSIXFileSystem()) throws(EngineError) {
    guard let found = try Self.recognize(directory, on: fileSystem), found != self else { return }
    throw EngineError(
      .refused,
      "\(directory): the store was made with engine \(found.rawValue), not \(rawValue); start with --engine \(found.rawValue), "
        + "or choose another --dir")
  }
}
