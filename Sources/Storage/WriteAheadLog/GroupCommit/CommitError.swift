import StrataDisk

/// Why a group commit refuses or fails.
package enum CommitError: Error, Sendable, Hashable {
  /// Nothing was taken; the operation may be tried again when the storage error is cured (a full disk).
  case storage(DiskError)
  /// A write or sync of accepted bytes failed. Sticky: nothing is acknowledged any more until the files are opened again.
  case durabilityLost(DiskError)
  /// Only for callers that must not block: room has to be made first, see ``GroupCommit/whenRoom(forBytes:_:)``.
  case wouldBlock
  /// The log was closed.
  case closed
}
