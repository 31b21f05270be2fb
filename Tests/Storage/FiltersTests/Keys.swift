import StrataNodes
import StrataRequirements
import Testing

@testable import StrataFilters

/// Keys of many shapes, and what a measured rate must be.
enum Keys {
  static func hashes(_ count: Int, seed: UInt64) -> [UInt64] {
    var random = Random(seed: seed)
    return (0..<count).map { _ in random.next() }
  }

  /// The hash of key `index` of a family of keys that look alike.
  static func hash(_ index: Int, _ shape: String) -> UInt64 {
    switch shape {
    case "sequential": return withUnsafeBytes(of: UInt64(index).littleEndian) { FilterHash.hash64($0) }
    case "one bit apart":
      // Gray code: neighbours differ in one bit.
      return withUnsafeBytes(of: UInt64(index ^ (index >> 1)).littleEndian) { FilterHash.hash64($0) }
    case "common prefix": return FilterHash.hash64("a/rather/long/prefix/that/all/of/the/keys/have/in/common/\(index)")
    default:
      var mixed = UInt64(index) &* 0x9E37_79B9_7F4A_7C15
      mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
      mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
      return mixed ^ (mixed >> 31)
    }
  }

  /// `found` of `probes` absent keys within 3.5 standard deviations of `rate`, or within `slack` of it, whichever is more.
  static func expectRate(_ found: Int, of probes: Int, _ rate: Double, slack: Double = 0.015, _ location: SourceLocation = #_sourceLocation) {
    let expected = Double(probes) * rate
    let allowed = max(3.5 * (expected * (1 - rate)).squareRoot(), slack * expected)
    #expect(abs(Double(found) - expected) <= allowed, "\(found) of \(probes), expected \(expected) ± \(allowed)", sourceLocation: location)
  }
}
