/// CRC-16/XMODEM (polynomial 0x1021, nothing reflected, no inversion), with which Redis Cluster finds a key's slot.
public enum CRC16 {
  // A read of the table needs no lock: it is made once and never changed.
  private static let table: [UInt16] = (0..<256).map { index in
    var crc = UInt16(index) << 8
    for _ in 0..<8 { crc = crc & 0x8000 != 0 ? crc << 1 ^ 0x1021 : crc << 1 }
    return crc
  }

  /// The checksum of `bytes`. O(length).
  public static func checksum(_ bytes: RawSpan) -> UInt16 {
    let table = table
    var crc: UInt16 = 0
    for offset in bytes.byteOffsets {
      let byte = bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
      crc = crc << 8 ^ table[Int(UInt8(truncatingIfNeeded: crc >> 8) ^ byte)]
    }
    return crc
  }

  /// How many slots Redis Cluster has.
  public static let slotCount = 16_384

  /// The slot of a key in Redis Cluster: of the bytes between the first `{` and the first `}` after it, if there are any, else of all bytes
  /// (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/).
  public static func slot(_ key: RawSpan) -> UInt16 { checksum(tagged(key)) & 0x3FFF }

  @_lifetime(copy key)
  private static func tagged(_ key: RawSpan) -> RawSpan {
    var open: Int?
    for offset in key.byteOffsets {
      switch (key.unsafeLoad(fromByteOffset: offset, as: UInt8.self), open) {
      case (UInt8(ascii: "{"), nil): open = offset
      case (UInt8(ascii: "}"), let start?):
        // `{}` is no tag, and no later brace makes it one.
        return offset == start + 1 ? key : key.extracting(start + 1..<offset)
      default: continue
      }
    }
    return key
  }
}
