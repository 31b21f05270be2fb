/// The JSON encoding of the specification, both directions.
public enum AvroJSON {
  /// Bytes written as the characters U+0000 to U+00FF; `nil` where another character is among them.
  static func latin1(_ text: String) -> [UInt8]? {
    var bytes: [UInt8] = []
    for scalar in text.unicodeScalars {
      guard scalar.value <= 0xFF else { return nil }
      bytes.append(UInt8(scalar.value))
    }
    return bytes
  }
}
