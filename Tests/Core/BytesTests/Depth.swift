import Foundation

/// How much deeper than by default the long tests go: the environment's STRATA_DEPTH, 1 without it.
let depth = max(1, ProcessInfo.processInfo.environment["STRATA_DEPTH"].flatMap { Int($0) } ?? 1)

extension Array<UInt8> {
  /// The bytes of hexadecimal text; spaces are ignored.
  init(hex: String) {
    let digits = hex.filter { !$0.isWhitespace }.map { UInt8($0.hexDigitValue!) }
    self = stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
  }
}
