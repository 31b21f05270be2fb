import StrataBytes

/// What part of a key its prefix is, for tables whose filters know prefixes as well as keys: a search among the keys of one prefix then passes over
/// tables that hold none of them.
///
/// Every table says which extractor its filter was made with and is asked by that one, whatever the options say by now.
public enum PrefixExtractor: Sendable, Hashable {
  /// The first so many bytes; shorter keys have no prefix.
  case fixed(Int)
  /// Everything up to this byte, which belongs to it; keys without it have no prefix.
  case delimiter(UInt8)

  /// How many bytes of `key` are its prefix; `nil` where it has none. All keys that begin with a key's prefix have that prefix.
  @inline(__always)
  package func length(in key: UnsafeRawBufferPointer) -> Int? {
    switch self {
    case .fixed(let count): return count >= 0 && count <= key.count ? count : nil
    case .delimiter(let byte):
      for place in 0..<key.count where key[place] == byte { return place &+ 1 }
      return nil
    }
  }

  /// What a manifest calls it.
  public var name: String {
    switch self {
    case .fixed(let count): "fixed:\(count)"
    case .delimiter(let byte): "delimiter:\(byte)"
    }
  }

  /// How a table's properties say it: one of two letters and a number.
  func encode(to writer: inout ByteWriter) {
    switch self {
    case .fixed(let count):
      writer.writeUInt8(0)
      writer.writeVarint64(UInt64(clamping: count))
    case .delimiter(let byte):
      writer.writeUInt8(1)
      writer.writeVarint64(UInt64(byte))
    }
  }

  /// What ``encode(to:)`` wrote; `nil` for what this version does not know, which is then not used.
  init?(decoding reader: inout ByteReader) throws(DecodeError) {
    let kind = try reader.readUInt8()
    let number = try reader.readVarint64()
    switch kind {
    case 0: self = .fixed(Int(clamping: number))
    case 1:
      guard let byte = UInt8(exactly: number) else { return nil }
      self = .delimiter(byte)
    default: return nil
    }
  }
}
