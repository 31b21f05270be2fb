import Foundation
import SystemPackage

/// A directory of its own for one test, removed with the object.
final class TemporaryDirectory: Sendable {
  let path: FilePath

  init() {
    let name = "strata-\(UUID().uuidString)"
    path = FilePath(FileManager.default.temporaryDirectory.appendingPathComponent(name).path)
  }

  deinit { try? FileManager.default.removeItem(atPath: path.string) }
}
