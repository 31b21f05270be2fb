import StrataJobs
import Synchronization

/// Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam, SODA 2018): a key goes to the first node in its order of preference that
/// is not full, and no node ever holds more than ⌈c · its fair part of all leases⌉.
///
/// Safe from any thread; one lock, held for the walk. Memory: a number per member, and per former member that still has leases.
public final class BoundedLoad<P: Placement>: Sendable, LoadOwner {
  private struct State {
    var placement: P
    var totalWeight: Double
    var loads: [MemberID: Int] = [:]
    /// Leases of present members.
    var total = 0
    /// Counts the placements.
    var generation: UInt64

    init(_ placement: P, generation: UInt64) {
      self.placement = placement
      self.generation = generation
      totalWeight = placement.members.reduce(0) { $0 + $1.weight }
    }
  }

  private let state: Monitor<State>
  /// How far above its fair part a node may go.
  public let c: Double

  /// A balancer over `placement`.
  /// - Parameter c: 1...1000; 1.25 lets a node hold a quarter more than its part. The nearer to 1, the more keys go elsewhere.
  /// - Throws: ``PlacementError/invalidParameter(name:value:allowed:)``.
  public init(_ placement: P, c: Double = 1.25) throws(PlacementError) {
    guard c >= 1, c <= 1_000 else { throw .invalidParameter(name: "c", value: "\(c)", allowed: "1...1000") }
    self.c = c
    state = Monitor(State(placement, generation: 0))
  }

  /// Takes a place for `key`; the lease's node serves it. O(1) where the key's first node has room.
  /// - Throws: ``PlacementError/empty``.
  public func acquire(_ key: borrowing some KeyBytes & ~Escapable) throws(PlacementError) -> Lease {
    while true {
      // The key is hashed outside the lock; where the placement was exchanged meanwhile, once more.
      let (placement, generation) = state.withLock { ($0.placement, $0.generation) }
      guard !placement.members.isEmpty else { throw .empty }
      let position = placement.position(of: key)
      let node: MemberID? = state.withLock { state in
        guard state.generation == generation else { return nil }
        return take(position, &state)
      }
      if let node { return Lease(node, self) }
    }
  }

  /// The first node with room. One always has: the nodes' limits sum to more than all leases and one.
  private func take(_ position: UInt64, _ state: inout State) -> MemberID? {
    var walk = state.placement.walk(at: position)
    while let index = walk.nextIndex() {
      let member = state.placement.members[Int(index)]
      let part = c * Double(state.total + 1) * member.weight / state.totalWeight
      // Rounding may bring the sum of parts a little below the number of leases: the last node of the walk takes what is left.
      if Double(state.loads[member.id] ?? 0) + 1 <= part.rounded(.up) || walk.isAtEnd {
        state.loads[member.id, default: 0] += 1
        state.total += 1
        return member.id
      }
    }
    return nil
  }

  /// Gives up a place; called by the lease.
  func release(_ node: MemberID) {
    state.withLock { state in
      let left = (state.loads[node] ?? 1) - 1
      state.loads[node] = left > 0 ? left : nil
      if state.placement.members.contains(where: { $0.id == node }) { state.total -= 1 }
    }
  }

  /// Goes on with another placement. Leases stay where they are; those of nodes that left no longer count.
  public func update(_ placement: P) {
    state.withLock { state in
      var next = State(placement, generation: state.generation + 1)
      next.loads = state.loads
      next.total = placement.members.reduce(0) { $0 + (state.loads[$1.id] ?? 0) }
      state = next
    }
  }

  /// The leases each present member holds.
  public var loads: [MemberID: Int] {
    state.withLock { state in
      var loads: [MemberID: Int] = [:]
      for member in state.placement.members { loads[member.id] = state.loads[member.id] ?? 0 }
      return loads
    }
  }
}

/// What a lease gives its place back to.
protocol LoadOwner: AnyObject, Sendable {
  func release(_ node: MemberID)
}

/// A place at a node, given back by ``release()`` or when the object goes. Safe from any thread.
public final class Lease: Sendable {
  /// The node that serves the key.
  public let node: MemberID
  private let owner: any LoadOwner
  private let isReleased = Atomic<Bool>(false)

  init(_ node: MemberID, _ owner: any LoadOwner) {
    self.node = node
    self.owner = owner
  }

  deinit { release() }

  /// Gives the place back; once, however often it is called.
  public func release() {
    if !isReleased.exchange(true, ordering: .acquiringAndReleasing) { owner.release(node) }
  }
}
