import StrataDisk
import StrataNodes
import SystemPackage

/// Files that belong to a message: too large for it, fetched by the receiver's transport before the message is delivered.
public struct AttachmentSet: Hashable, Sendable {
  /// One file.
  public struct File: Hashable, Sendable {
    /// Its name within the set: no separators, and not a name of a directory.
    public var name: String
    /// Its length.
    public var bytes: UInt64
    /// The CRC-32C of its content.
    public var crc32c: UInt32

    /// A file.
    public init(name: String, bytes: UInt64, crc32c: UInt32) {
      self.name = name
      self.bytes = bytes
      self.crc32c = crc32c
    }
  }

  /// Most files in a set.
  public static let maxFiles = 65_536
  /// Most bytes of a name or of an id, in UTF-8.
  public static let maxNameBytes = 255

  /// Names the set at the sender: the same id means the same content for ever, so that a transfer can be resumed.
  public var id: String
  /// The files, in the order in which they are fetched.
  public var files: [File]

  /// A set.
  public init(id: String, files: [File]) {
    self.id = id
    self.files = files
  }

  /// Bytes of all files; saturates.
  public var bytes: UInt64 {
    files.reduce(0) { sum, file in
      let (next, over) = sum.addingReportingOverflow(file.bytes)
      return over ? .max : next
    }
  }

  /// What makes the set impossible, if something does: a name that is empty, too long or could lead out of a directory, or that comes twice.
  public var defect: String? {
    if files.count > Self.maxFiles { return "\(files.count) files, more than \(Self.maxFiles)" }
    for name in [id] + files.map(\.name) where !Self.isProper(name) { return "\"\(name)\" is no name for an attachment" }
    if Set(files.map(\.name)).count != files.count { return "two files have one name" }
    return nil
  }

  private static func isProper(_ name: String) -> Bool {
    !name.isEmpty && name.utf8.count <= maxNameBytes && name.utf8.first != UInt8(ascii: ".")
      && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "/") }
  }
}

/// Attachments that have arrived: all there, lengths and checksums verified, each durable under its name in a directory of their own.
public struct StagedAttachments: Hashable, Sendable {
  /// What was asked for.
  public var set: AttachmentSet
  /// The directory that holds exactly these files. It is the receiver's: moved into place, or removed.
  public var directory: FilePath

  /// Files that have arrived.
  public init(set: AttachmentSet, directory: FilePath) {
    self.set = set
    self.directory = directory
  }

  /// Where a file lies.
  public func path(_ name: String) -> FilePath { directory.appending(name) }
}

/// Where a transport finds the files its member's messages name, and where it puts those of others.
///
/// Called on threads that may wait for the disk.
public protocol AttachmentStore: AnyObject, Sendable {
  /// Opens a file of a set this member has named in a message. The file must stay readable while it is open, removed or not.
  ///
  /// - Throws: `.notFound` if the set is gone; the message that named it is then dropped.
  func open(_ id: String, _ name: String, of group: GroupID) throws(DiskError) -> any File

  /// The file system of ``stagingDirectory``.
  var fileSystem: any FileSystem { get }

  /// An existing directory that is the transport's alone: one directory in it per set that is fetched or waits for its receiver. What is left there
  /// from an earlier run is removed.
  var stagingDirectory: FilePath { get }
}
