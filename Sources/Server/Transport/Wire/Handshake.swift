import StrataBytes

/// The first frame of a connection, from whoever made it: which versions it speaks, and which life of the node it is.
struct Hello: Hashable {
  var oldestVersion: UInt8
  var newestVersion: UInt8
  var incarnation: UInt64

  var encoded: [UInt8] {
    var writer = ByteWriter(capacity: 16)
    writer.writeUInt8(oldestVersion)
    writer.writeUInt8(newestVersion)
    writer.writeUInt64(incarnation)
    return writer.finish()
  }

  /// Reads a hello; what a later version adds behind is passed over.
  init(decoding reader: inout ByteReader) throws(DecodeError) {
    oldestVersion = try reader.readUInt8()
    newestVersion = try reader.readUInt8()
    incarnation = try reader.readUInt64()
    _ = reader.readRest()
  }

  init(oldestVersion: UInt8, newestVersion: UInt8, incarnation: UInt64) {
    self.oldestVersion = oldestVersion
    self.newestVersion = newestVersion
    self.incarnation = incarnation
  }
}

/// Why a connection is not wanted, in a form both ends can log.
enum Refusal: Hashable, CustomStringConvertible {
  case wrongCluster(mine: UInt64, yours: UInt64)
  case wrongNode(mine: UInt64, wanted: UInt64)
  case sameNode(UInt64)
  case noCommonVersion(mine: UInt8, yours: ClosedRange<UInt8>)
  case unknown(UInt8)

  var description: String {
    switch self {
    case .wrongCluster(let mine, let yours):
      "the listener belongs to cluster \(mine), the caller to cluster \(yours); check the addresses of the peers"
    case .wrongNode(let mine, let wanted): "the listener is n\(mine), the caller wants n\(wanted); check the addresses of the peers"
    case .sameNode(let node): "listener and caller are both n\(node); every node needs a number of its own"
    case .noCommonVersion(let mine, let yours):
      "the listener speaks version \(mine), the caller versions \(yours.lowerBound) to \(yours.upperBound); use builds that have one in common"
    case .unknown(let code): "the listener gives reason \(code), which this build does not know"
    }
  }

  var encoded: [UInt8] {
    var writer = ByteWriter(capacity: 17)
    let (code, first, second): (UInt8, UInt64, UInt64) =
      switch self {
      case .wrongCluster(let mine, let yours): (1, mine, yours)
      case .wrongNode(let mine, let wanted): (2, mine, wanted)
      case .sameNode(let node): (3, node, node)
      case .noCommonVersion(let mine, let yours): (4, UInt64(mine), UInt64(yours.lowerBound) | UInt64(yours.upperBound) << 8)
      case .unknown(let code): (code, 0, 0)
      }
    writer.writeUInt8(code)
    writer.writeUInt64(first)
    writer.writeUInt64(second)
    return writer.finish()
  }

  init(decoding reader: inout ByteReader) throws(DecodeError) {
    let code = try reader.readUInt8()
    let first = try reader.readUInt64()
    let second = try reader.readUInt64()
    _ = reader.readRest()
    switch code {
    case 1: self = .wrongCluster(mine: first, yours: second)
    case 2: self = .wrongNode(mine: first, wanted: second)
    case 3: self = .sameNode(first)
    case 4:
      let oldest = UInt8(truncatingIfNeeded: second)
      self = .noCommonVersion(mine: UInt8(truncatingIfNeeded: first), yours: oldest...max(oldest, UInt8(truncatingIfNeeded: second >> 8)))
    default: self = .unknown(code)
    }
  }

  /// Why a listener does not want a caller, if it does not.
  static func judging(_ frame: WireFrame, _ hello: Hello, node: UInt64, cluster: UInt64) -> Refusal? {
    if frame.cluster != cluster { return .wrongCluster(mine: cluster, yours: frame.cluster) }
    if frame.to != node { return .wrongNode(mine: node, wanted: frame.to) }
    if frame.from == node { return .sameNode(node) }
    let mine = WireFrame.version
    if hello.oldestVersion > mine || hello.newestVersion < mine {
      return .noCommonVersion(mine: mine, yours: hello.oldestVersion...max(hello.oldestVersion, hello.newestVersion))
    }
    return nil
  }
}
