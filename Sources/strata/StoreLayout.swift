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

  /// Whether `directory` is that of a member of a group, or may become one, as `isMember` says it has to be.
  /// - Throws: `.refused` where it is the other kind.
  static func check(_ directory: FilePath, isMember: Bool, on fileSystem: any FileSystem = POSIXFileSystem()) throws(EngineError) {
    let hasMember: Bool
    do { hasMember = try fileSystem.status(directory.appending("raft")) != nil } catch { throw EngineError(.failed, error.description) }
    if hasMember, !isMember {
      throw EngineError(.refused, "\(directory): this is the directory of a replicated server; start it with --node and --cluster")
    }
    if isMember, !hasMember, let layout = try recognize(directory, on: fileSystem) {
      throw EngineError(.refused, "\(directory): this is the store of a server of its own (\(layout.rawValue)); a member needs an empty directory")
    }
  }
}
