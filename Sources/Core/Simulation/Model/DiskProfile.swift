/// What a simulated file system may do to data that was not synced, and how it behaves after a failed sync.
///
/// The presets follow the measured behaviour of Linux file systems; ``strictPOSIX`` allows everything that POSIX does not forbid and
/// is what engines are tested against.
public struct DiskProfile: Sendable, Hashable, CustomStringConvertible {
  /// How finely a power loss may cut one write.
  public enum Tear: Sendable, Hashable {
    /// A write survives wholly or not at all.
    case none
    /// Any subset of a write's sectors survives; a sector is old or new.
    case sector
    /// As ``sector``, and a surviving prefix may end inside a sector.
    case byte
  }

  /// In which order names may reach the device.
  public enum NameOrder: Sendable, Hashable {
    /// Each creation, rename, link and removal survives or is lost on its own.
    case independent
    /// A journal: what survives of all name changes is a prefix.
    case journalled
  }

  /// Which name changes a sync of a file makes durable along with its bytes.
  public enum NameCommit: Sendable, Hashable {
    /// None: names need their directory's sync.
    case none
    /// Those that concern the file itself.
    case own
    /// All so far (one journal).
    case all
  }

  /// What reads return for the bytes of a failed sync until they are evicted (USENIX ATC 2020).
  public enum FailedBytes: Sendable, Hashable {
    /// The bytes that were written, although the device never got them.
    case new
    /// The bytes of the last successful sync.
    case old
  }

  /// The name used in reports.
  public var name: String
  /// The unit the device writes atomically.
  public var sectorBytes = 512
  /// How a write may be cut.
  public var tear: Tear
  /// How name changes may be ordered.
  public var nameOrder: NameOrder
  /// What a file's sync does for names.
  public var nameCommit: NameCommit
  /// Whether a file's new length may survive without the bytes that made it grow.
  public var growsWithoutData: Bool
  /// Whether such bytes may read as whatever the device held before, rather than zero.
  public var exposesStaleBytes: Bool
  /// Whether renaming over an existing name first writes the renamed file's bytes (ext4's `auto_da_alloc`).
  public var renameWritesData: Bool
  /// What reads see after a failed sync.
  public var failedBytes: FailedBytes
  /// Whether every operation is durable when it returns.
  public var isWriteThrough = false

  /// Whatever POSIX does not forbid: independent writes and names, torn inside sectors, growth without data, stale bytes.
  public static let strictPOSIX = DiskProfile(
    name: "strictPOSIX", tear: .byte, nameOrder: .independent, nameCommit: .none, growsWithoutData: true, exposesStaleBytes: true,
    renameWritesData: false, failedBytes: .new)

  /// ext4 with `data=ordered`: one journal for names, committed by any sync; length grows only with its data; replacing by rename
  /// writes the data first.
  public static let ext4Ordered = DiskProfile(
    name: "ext4Ordered", tear: .sector, nameOrder: .journalled, nameCommit: .all, growsWithoutData: false, exposesStaleBytes: false,
    renameWritesData: true, failedBytes: .new)

  /// XFS: one log for names, committed by any sync; a rename may survive without the renamed file's data, holes read as zero.
  public static let xfs = DiskProfile(
    name: "xfs", tear: .sector, nameOrder: .journalled, nameCommit: .all, growsWithoutData: true, exposesStaleBytes: false,
    renameWritesData: false, failedBytes: .new)

  /// Btrfs: a file's sync logs that file and its names; copy on write, so a failed sync leaves the old bytes.
  public static let btrfs = DiskProfile(
    name: "btrfs", tear: .sector, nameOrder: .journalled, nameCommit: .own, growsWithoutData: false, exposesStaleBytes: false,
    renameWritesData: true, failedBytes: .old)

  /// A disk without a volatile cache: nothing that returned is ever lost.
  public static let none: DiskProfile = {
    var profile = strictPOSIX
    profile.name = "none"
    profile.isWriteThrough = true
    return profile
  }()

  /// The name.
  public var description: String { name }

  /// A profile of one's own; see the properties for the meaning of each knob.
  public init(
    name: String, tear: Tear, nameOrder: NameOrder, nameCommit: NameCommit, growsWithoutData: Bool, exposesStaleBytes: Bool,
    renameWritesData: Bool, failedBytes: FailedBytes
  ) {
    self.name = name
    self.tear = tear
    self.nameOrder = nameOrder
    self.nameCommit = nameCommit
    self.growsWithoutData = growsWithoutData
    self.exposesStaleBytes = exposesStaleBytes
    self.renameWritesData = renameWritesData
    self.failedBytes = failedBytes
  }
}
