/// Why bytes could not be compressed or restored.
public enum CompressionError: Error, Sendable, Hashable {
  /// The input is not what this codec writes: damaged, cut, or of another codec. Nothing can be read from it.
  case corrupt(Codec, inputBytes: Int)
  /// The original is longer than the caller accepts; raise the limit only for input that is trusted.
  case exceedsLimit(Codec, limit: Int)
  /// The input is longer than this codec can take; split it.
  case tooLarge(Codec, Int)
  /// The library found no memory for its state; try again when there is some.
  case outOfMemory(Codec)
}

extension CompressionError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .corrupt(let codec, let count): "\(count) bytes are not \(codec.name) data"
    case .exceedsLimit(let codec, let limit): "the \(codec.name) data hold more than the limit of \(limit) bytes"
    case .tooLarge(let codec, let count): "\(count) bytes are more than \(codec.name) can compress at once"
    case .outOfMemory(let codec): "no memory for \(codec.name)"
    }
  }
}
