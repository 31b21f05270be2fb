/// How many keys each database holds, and how many of them expire, as long as that follows from what is written.
///
/// A write whose key's former state is not known makes its database's size unknown until a census is made. A census takes its moment under the
/// keyspace's lock and counts outside it; what is written meanwhile is added to its result if all of that is known.
struct DatabaseSizes {
  private struct Size {
    var keys = 0
    var expiring = 0
    /// `keys` and `expiring` are true; else they are what has changed since the census under way began.
    var isKnown = false
    /// A census is under way and everything since its moment is known.
    var isCounting = false
    var census: UInt64 = 0
  }

  private var sizes = [Size](repeating: Size(), count: Keyspace.databases)

  func size(_ database: Int) -> (keys: Int, expires: Int)? {
    let size = sizes[database]
    return size.isKnown ? (size.keys, size.expiring) : nil
  }

  /// Whether it is of use to know what a write's key held before.
  func wantsPrevious(_ database: UInt8?) -> Bool {
    guard let database, database < Keyspace.databases else { return false }
    return sizes[Int(database)].isKnown || sizes[Int(database)].isCounting
  }

  /// Follows a write. A key without a database, which another tool may have stored, is nobody's.
  mutating func note(_ prefix: UInt8?, _ previous: Previous, stored: Bool, expires: Bool) {
    guard let database = prefix.map(Int.init), database < Keyspace.databases else { return }
    switch previous {
    case .unknown:
      sizes[database].isKnown = false
      sizes[database].isCounting = false
      return
    case .absent: break
    case .present(let expired):
      sizes[database].keys -= 1
      if expired { sizes[database].expiring -= 1 }
    }
    if stored {
      sizes[database].keys += 1
      if expires { sizes[database].expiring += 1 }
    }
  }

  /// The database is empty now.
  mutating func clear(_ database: Int) { sizes[database] = Size(isKnown: true, census: sizes[database].census &+ 1) }

  /// Nothing is known any more; a census under way is no longer awaited.
  mutating func forget(_ database: Int) { sizes[database] = Size(census: sizes[database].census &+ 1) }

  /// A census takes its moment now; a former one under way is no longer awaited.
  mutating func begin(_ database: Int) -> UInt64 {
    sizes[database] = Size(isCounting: true, census: sizes[database].census &+ 1)
    return sizes[database].census
  }

  /// The result of the census with this number.
  mutating func end(_ database: Int, _ census: UInt64, keys: Int, expires: Int) {
    guard sizes[database].census == census, sizes[database].isCounting else { return }
    sizes[database].keys += keys
    sizes[database].expiring += expires
    sizes[database].isKnown = true
    sizes[database].isCounting = false
  }
}
