import StrataBytes
import StrataHost
import StrataNodes

/// Where the content of a snapshot is not in the snapshot itself but in files it names: how they are named to the receiver, and how the receiver
/// makes them its own.
///
/// Called on threads that may wait for the disk, several at once.
public protocol SnapshotFiles: Sendable {
  /// The files a snapshot needs; `nil` where its data is all of it. O(1): it is asked for each message.
  func attachments(of snapshot: Snapshot) -> AttachmentSet?

  /// Takes over the files of a snapshot that has arrived and gives the data its receiver is to see.
  ///
  /// - Throws: `DecodeError` if the files do not make the snapshot; the message is then dropped, and the sender sends it again.
  func adopt(_ snapshot: Snapshot, _ staged: StagedAttachments) throws(DecodeError) -> [UInt8]
}

/// How members of a group speak on the wire, version 1; see Docs/Formats/Raft.md. Fields a later writer adds are skipped.
///
/// The checksum is the transport's: a payload is read only after its frame was verified.
public struct RaftMessageCodec: MessageCodec {
  /// What is encoded.
  public typealias Message = StrataRaft.Message

  static let version: UInt8 = 1
  static let fieldBytes: UInt16 = 65
  /// Bytes of an entry without its payload.
  static let entryBytes = 21

  private enum Flag {
    static let rejected: UInt8 = 1
    static let transfer: UInt8 = 2
    static let snapshot: UInt8 = 4
    static let all: UInt8 = 7
  }

  private let files: (any SnapshotFiles)?

  /// A codec. `files` tells which snapshots need files beside them; without it none does.
  public init(files: (any SnapshotFiles)? = nil) { self.files = files }

  /// Writes a message.
  public func encode(_ message: Message, into writer: inout ByteWriter) {
    let payload = message.entries.reduce(0) { $0 + $1.payload.count + Self.entryBytes }
    writer.reserve(80 + payload + (message.snapshot?.data.count ?? 0))
    writer.writeUInt8(Self.version)
    writer.writeUInt8(message.kind.rawValue)
    writer.writeUInt16(Self.fieldBytes)
    writer.writeUInt64(message.from.rawValue)
    writer.writeUInt64(message.to.rawValue)
    writer.writeUInt64(message.term)
    writer.writeUInt64(message.logTerm)
    writer.writeUInt64(message.index)
    writer.writeUInt64(message.commit)
    writer.writeUInt64(message.hint)
    writer.writeUInt64(message.context)
    writer.writeUInt8(
      (message.isRejected ? Flag.rejected : 0) | (message.isTransfer ? Flag.transfer : 0) | (message.snapshot == nil ? 0 : Flag.snapshot))
    writer.writeUInt32(UInt32(truncatingIfNeeded: message.entries.count))
    for entry in message.entries {
      writer.writeUInt64(entry.term)
      writer.writeUInt64(entry.index)
      writer.writeUInt8(entry.kind.rawValue)
      writer.writeUInt32(UInt32(truncatingIfNeeded: entry.payload.count))
      writer.writeBytes(entry.payload)
    }
    guard let snapshot = message.snapshot else { return }
    writer.writeUInt64(snapshot.place.term)
    writer.writeUInt64(snapshot.place.index)
    snapshot.confState.encode(into: &writer)
    writer.writeUInt32(UInt32(truncatingIfNeeded: snapshot.data.count))
    writer.writeBytes(snapshot.data)
  }

  /// Reads a message.
  ///
  /// - Throws: `.unsupportedVersion` naming both versions; whatever else `DecodeError` has for bytes that are no message, or whose sender is not
  ///   `from`.
  public func decode(_ payload: RawSpan, from: NodeID, attachments: StagedAttachments?) throws(DecodeError) -> Message {
    var reader = ByteReader(payload)
    let version = try reader.readUInt8()
    guard version == Self.version else { throw .unsupportedVersion(at: 0, version: UInt32(version), newest: UInt32(Self.version)) }
    guard let kind = Message.Kind(rawValue: try reader.readUInt8()), kind != .stored, kind != .applied else {
      // What a storage says to its own node never comes from outside.
      throw .malformed(at: 1, field: "kind of message")
    }
    let size = try reader.readUInt16()
    guard size >= Self.fieldBytes else { throw .malformed(at: 2, field: "length of the fields") }
    var message = Message(kind, to: 0)
    message.from = NodeID(try reader.readUInt64())
    guard message.from == from else { throw .malformed(at: 4, field: "sender") }
    message.to = NodeID(try reader.readUInt64())
    message.term = try reader.readUInt64()
    message.logTerm = try reader.readUInt64()
    message.index = try reader.readUInt64()
    message.commit = try reader.readUInt64()
    message.hint = try reader.readUInt64()
    message.context = try reader.readUInt64()
    let flags = try reader.readUInt8()
    guard flags & ~Flag.all == 0 else { throw .malformed(at: 68, field: "flags") }
    message.isRejected = flags & Flag.rejected != 0
    message.isTransfer = flags & Flag.transfer != 0
    try reader.skip(Int(size - Self.fieldBytes))
    message.entries = try Self.entries(&reader)
    if flags & Flag.snapshot != 0 { message.snapshot = try snapshot(&reader, attachments) }
    try reader.expectEnd(of: "message")
    return message
  }

  private static func entries(_ reader: inout ByteReader) throws(DecodeError) -> [Entry] {
    let at = reader.offset
    let count = Int(try reader.readUInt32())
    // Memory is taken for what is there, not for what is claimed.
    guard count <= reader.remaining / entryBytes else { throw .limitExceeded(at: at, field: "entries", limit: reader.remaining / entryBytes) }
    var entries: [Entry] = []
    entries.reserveCapacity(count)
    for _ in 0..<count {
      let term = try reader.readUInt64()
      let index = try reader.readUInt64()
      let at = reader.offset
      guard let kind = EntryKind(rawValue: try reader.readUInt8()) else { throw .malformed(at: at, field: "kind of entry") }
      let size = Int(try reader.readUInt32())
      entries.append(Entry(term: term, index: index, kind: kind, payload: try reader.readBytes(size).withUnsafeBytes { Array($0) }))
    }
    return entries
  }

  private func snapshot(_ reader: inout ByteReader, _ attachments: StagedAttachments?) throws(DecodeError) -> Snapshot {
    let place = LogPlace(term: try reader.readUInt64(), index: try reader.readUInt64())
    let confState = try ConfState(decoding: &reader)
    let size = Int(try reader.readUInt32())
    var snapshot = Snapshot(place: place, confState: confState, data: try reader.readBytes(size).withUnsafeBytes { Array($0) })
    guard let set = files?.attachments(of: snapshot) else { return snapshot }
    guard let attachments, attachments.set == set else { throw .malformed(at: reader.offset, field: "snapshot, whose files did not come with it,") }
    snapshot.data = try files?.adopt(snapshot, attachments) ?? snapshot.data
    return snapshot
  }

  /// The files a snapshot's message needs.
  public func attachments(of message: Message) -> AttachmentSet? { message.snapshot.flatMap { files?.attachments(of: $0) } }
}
