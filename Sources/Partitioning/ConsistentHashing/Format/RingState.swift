import StrataBytes
public import StrataDisk
public import SystemPackage

/// A placement as it is stored: Docs/Formats/RingState.md. Whatever the bytes are, reading gives a whole placement or an error.
public enum RingState: Sendable {
  /// A ring and, while a change is under way, the one it is to become.
  case ring(HashRing, next: HashRing?)
  /// Fixed slots, with those under way.
  case slots(SlotMap)
  /// A Maglev table.
  case maglev(MaglevTable)
  /// Rendezvous hashing.
  case rendezvous(Rendezvous)
  /// Jump hashing.
  case jump(JumpHash)

  /// The placement in force.
  public var placement: any Placement {
    switch self {
    case .ring(let ring, _): ring
    case .slots(let map): map
    case .maglev(let table): table
    case .rendezvous(let rendezvous): rendezvous
    case .jump(let jump): jump
    }
  }

  /// The most bytes a stored placement may have.
  public static let byteLimit = 256 << 20

  /// Replaces the file at `path`, so that after a crash it holds wholly the old or wholly the new placement; durable on return.
  /// - Throws: ``PlacementError/disk(_:)``; as ``encode()``.
  public func save(to path: FilePath, on disk: any FileSystem) throws(PlacementError) {
    let bytes = try encode()
    do throws(DiskError) { try disk.atomicReplace(path, with: bytes) } catch { throw .disk(error) }
  }

  /// The placement in the file at `path`.
  /// - Throws: ``PlacementError/disk(_:)``; as ``init(decoding:)``.
  public static func load(from path: FilePath, on disk: any FileSystem) throws(PlacementError) -> RingState {
    let bytes: [UInt8]
    do throws(DiskError) { bytes = try disk.readAll(path, limit: byteLimit) } catch { throw .disk(error) }
    return try RingState(decoding: bytes.span.bytes)
  }
}

/// Numbers of the format.
enum StateFormat {
  static let magic: StaticString = "STRG"
  static let version: UInt16 = 1
  /// A change is under way: members have states, and the ring to come follows.
  static let underWay: UInt16 = 1
  static let headerBytes = 40

  enum Kind: UInt8 {
    case ring = 1
    case slots = 2
    case maglev = 3
    case rendezvous = 4
    case jump = 5
  }

  enum MemberState: UInt8 {
    case normal = 0
    case joining = 1
    case leaving = 2
    case reweighted = 3
  }
}

extension Allocation {
  /// The number of the rule and its seed, as stored.
  var stored: (rule: UInt8, seed: UInt64) {
    switch rule {
    case .hashed(let seed): (1, seed)
    case .envoy: (2, 0)
    case .ketama(.libketama): (3, 0)
    case .ketama(.libmemcached): (4, 0)
    case .balanced: (5, 0)
    }
  }

  init?(stored rule: UInt8, seed: UInt64, size: Int) {
    switch rule {
    case 1: self = .hashed(seed: seed)
    case 2: self = .envoy
    case 3: self.init(rule: .ketama(.libketama))
    case 4: self.init(rule: .ketama(.libmemcached))
    case 5: self = .balanced(tokensPerNode: size)
    default: return nil
    }
  }
}

/// Runs a decoding and says its failure as a placement's.
func decoding<R>(_ body: () throws(DecodeError) -> R) throws(PlacementError) -> R {
  do throws(DecodeError) { return try body() } catch {
    if case .unsupportedVersion(_, let version, _) = error { throw .unsupported(field: "version", value: Int(version)) }
    throw error.asCorrupt
  }
}

extension DecodeError {
  /// As a placement's error, which names the offset itself.
  var asCorrupt: PlacementError {
    let text = description
    let reason = text.firstRange(of: ": ").map { String(text[$0.upperBound...]) } ?? text
    return .corrupt(offset: offset, reason: reason)
  }
}
