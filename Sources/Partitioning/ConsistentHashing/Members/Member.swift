/// A node with its share of the keys and where it stands.
public struct Member: Sendable, Hashable, Codable {
  /// The node's name.
  public var id: MemberID
  /// How much of the keys it takes, relative to the others; 1 for an ordinary node. Above 0 and at most
  /// ``weightLimit``, or placements refuse it.
  public var weight: Double
  /// The failure domain it stands in (a data centre, an availability zone); all nodes without one count as one zone.
  public var zone: String?
  /// The rack within the zone; all nodes of a zone without one count as one rack.
  public var rack: String?

  /// A member; checked by the placement that takes it.
  public init(_ id: MemberID, weight: Double = 1, zone: String? = nil, rack: String? = nil) {
    self.id = id
    self.weight = weight
    self.zone = zone
    self.rack = rack
  }

  /// The largest weight; sums of weights stay exact enough below it.
  public static let weightLimit = 1e12

  /// The most bytes the name of a zone or a rack may have.
  public static let labelByteLimit = 255

  /// The most members a placement takes.
  public static let countLimit = 65_536

  /// Checks one member.
  func validate() throws(PlacementError) {
    guard weight > 0, weight <= Self.weightLimit else {
      throw .invalidParameter(name: "weight of \(id)", value: "\(weight)", allowed: "a number above 0 and at most \(Self.weightLimit)")
    }
    for label in [zone, rack] {
      guard (label?.utf8.count ?? 0) <= Self.labelByteLimit else {
        throw .invalidParameter(
          name: "zone or rack of \(id)", value: "\(label?.utf8.count ?? 0) bytes", allowed: "at most \(Self.labelByteLimit) bytes")
      }
    }
  }

  /// The members in ascending order of their names, each checked, none twice.
  static func normalized(_ members: [Member]) throws(PlacementError) -> [Member] {
    guard members.count <= countLimit else {
      throw .invalidParameter(name: "members", value: "\(members.count)", allowed: "at most \(countLimit)")
    }
    for member in members { try member.validate() }
    let sorted = members.sorted { $0.id < $1.id }
    for (one, next) in zip(sorted, sorted.dropFirst()) where one.id == next.id { throw .nodeExists(one.id) }
    return sorted
  }

  /// The rank of `id` among members in ascending order, or where it would stand.
  static func rank(of id: MemberID, in members: [Member]) -> (rank: Int, isPresent: Bool) {
    var low = 0
    var high = members.count
    while low < high {
      let middle = (low + high) / 2
      if members[middle].id < id { low = middle + 1 } else { high = middle }
    }
    return (low, low < members.count && members[low].id == id)
  }
}
