/// Every decoder under fuzzing.
package enum FuzzTargets {
  /// All of them, in the order of their names' blocks.
  package static let all =
    AvroTargets.all + MerkleTargets.all + HashingTargets.all + FilterTargets.all + TableTargets.all + LogTargets.all + TextTargets.all

  /// The one of this name.
  package static func named(_ name: String) -> FuzzTarget? { all.first { $0.name == name } }
}
