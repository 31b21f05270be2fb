/// A change of placement under way: the old one is read, both are written, until every move of the plan has been acknowledged (Cassandra's
/// pending ranges).
///
/// A node that joins gets all writes of its ranges from the beginning but answers no read before it has them; one that leaves answers reads to the
/// end. So a key is readable, with everything written to it, at every moment of the move. A value: acknowledging gives another one.
public struct Handover<P: Placement>: Sendable {
  /// The placement in force.
  public let old: P
  /// The placement that comes into force.
  public let new: P
  /// What must be copied.
  public let plan: TransferPlan
  private var isDone: [Bool]
  private var doneCount = 0

  /// The change from `old` to `new` with `replicas` copies of every key.
  /// - Throws: as ``TransferPlan/between(_:_:replicas:spread:)``; ``PlacementError/invalidParameter(name:value:allowed:)`` where `new` is not newer.
  public init(from old: P, to new: P, replicas: Int) throws(PlacementError) {
    guard new.epoch > old.epoch else {
      throw .invalidParameter(name: "epoch of the new placement", value: "\(new.epoch)", allowed: "above \(old.epoch)")
    }
    self.old = old
    self.new = new
    plan = try TransferPlan.between(old, new, replicas: replicas)
    isDone = [Bool](repeating: false, count: plan.moves.count)
  }

  /// Who is read: the owners of the placement in force.
  public func readers(_ key: borrowing some KeyBytes & ~Escapable) throws(PlacementError) -> [MemberID] {
    isComplete ? try new.replicas(key, count: plan.replicas) : try old.replicas(key, count: plan.replicas)
  }

  /// Who is written: who is read, and those who are to hold the key. A write counts as done when the quorum of the former and all of the latter
  /// have it.
  public func writers(_ key: borrowing some KeyBytes & ~Escapable) throws(PlacementError) -> [MemberID] {
    let future = try new.replicas(key, count: plan.replicas)
    if isComplete { return future }
    let present = try old.replicas(key, count: plan.replicas)
    return present + future.filter { !present.contains($0) }
  }

  /// The moves not yet acknowledged, as indices of the plan's moves.
  public var pendingMoves: [Int] { isDone.indices.filter { !isDone[$0] } }

  /// Whether every move has been acknowledged; the new placement may then be published.
  public var isComplete: Bool { doneCount == isDone.count }

  /// The change after the destination of a move has said that it has the range. Repeating an acknowledgement changes nothing.
  /// - Throws: ``PlacementError/invalidParameter(name:value:allowed:)`` for a move the plan has not.
  public func acknowledging(_ move: Int) throws(PlacementError) -> Handover {
    guard isDone.indices.contains(move) else {
      throw .invalidParameter(name: "move", value: "\(move)", allowed: "0..<\(isDone.count)")
    }
    var next = self
    if !next.isDone[move] {
      next.isDone[move] = true
      next.doneCount += 1
    }
    return next
  }
}
