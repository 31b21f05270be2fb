import StrataSSTable
import Synchronization

/// A table as versions hold it. Its file is removed when the edit that drops it is durable and the last version that names it is gone.
final class TableHandle: Sendable {
  let metadata: TableMetadata
  let reader: TableReader
  /// Entries among its deletions that readers have passed over in long rows.
  let passedOver = Atomic<UInt64>(0)
  private let isObsolete = Atomic<Bool>(false)
  private let obsolete: ObsoleteFiles

  init(_ metadata: TableMetadata, _ reader: TableReader, _ obsolete: ObsoleteFiles) {
    self.metadata = metadata
    self.reader = reader
    self.obsolete = obsolete
  }

  deinit {
    if isObsolete.load(ordering: .acquiring) { obsolete.add(metadata.fileID) }
  }

  /// The same table with other facts, its level say; the file stays.
  func moved(_ metadata: TableMetadata) -> TableHandle { TableHandle(metadata, reader, obsolete) }

  /// No version to come names the file, and the edit that says so is durable.
  func markObsolete() {
    obsolete.note(metadata)
    isObsolete.store(true, ordering: .releasing)
  }
}
