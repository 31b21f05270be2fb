public import SystemPackage

/// A place that is not as it was written.
public struct Damage: Sendable, Hashable, CustomStringConvertible {
  /// What is known to be lost.
  public enum Kind: Sendable, Hashable {
    /// The record of one known key: reading it gives `.corrupt`.
    case record(sequence: UInt64, keyHash: UInt64)
    /// Some bytes in which no record can be made out.
    case region
    /// A segment's header sector; nothing of value is lost.
    case header
    /// The whole segment's file.
    case segment
    /// The manifest has lost a segment that is there; salvage has taken it back in.
    case forgotten
  }

  /// The segment's number.
  public var segment: UInt32
  /// The file.
  public var path: FilePath
  /// Where in the file, and how many bytes.
  public var offset: UInt64
  /// Its bytes.
  public var length: UInt64
  /// What is lost.
  public var kind: Kind

  public var description: String {
    switch kind {
    case .record(let sequence, let hash): "\(path): record \(sequence) at offset \(offset) (key hash \(hash)) fails its checksum"
    case .region: "\(path): \(length) bytes from offset \(offset) hold no readable record"
    case .header: "\(path): the header sector is not sound"
    case .segment: "\(path): missing"
    case .forgotten: "\(path): not named by the manifest, though it holds records"
    }
  }
}

/// What opening found and did.
public struct RecoveryReport: Sendable, Hashable {
  /// Highest sequence found; 0 for none.
  public var lastSequence: UInt64 = 0
  /// Segments whose hint was used, and whose data was read.
  public var hintsLoaded = 0
  /// Segments that were read because no hint could be used.
  public var segmentsScanned = 0
  /// Bytes of data files read.
  public var bytesScanned: UInt64 = 0
  /// Bytes cut off the segment last written to.
  public var tornBytes: UInt64 = 0
  /// Damage met on the way.
  public var damage: [Damage] = []
  /// Files that are none of the store's.
  public var strayFiles: [String] = []
  /// Files a crash had left behind, now removed.
  public var orphansRemoved: [String] = []
  /// Whether the store had been closed properly.
  public var wasClean = true
}
