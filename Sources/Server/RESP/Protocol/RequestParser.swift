/// Limits on what one client may send.
struct RequestLimits: Sendable, Hashable {
  /// Longest bulk string.
  var bulkBytes = 512 << 20
  /// Most arguments of one command.
  var arguments = 1_048_576
  /// Longest inline command and longest length line.
  var lineBytes = 64 << 10
  /// Most arguments before authentication.
  var unauthenticatedArguments = 10
  /// Longest bulk string before authentication.
  var unauthenticatedBulkBytes = 16 << 10
}

/// Why a request is not RESP. The text is Redis' own, which some clients show.
enum ProtocolError: Error, Hashable {
  case tooBigCountString
  case invalidMultibulkLength
  case unauthenticatedMultibulkLength
  case tooBigBulkCountString
  case expectedDollar(UInt8)
  case invalidBulkLength
  case unauthenticatedBulkLength
  case tooBigInline
  case unbalancedQuotes

  var text: String {
    switch self {
    case .tooBigCountString: "too big mbulk count string"
    case .invalidMultibulkLength: "invalid multibulk length"
    case .unauthenticatedMultibulkLength: "unauthenticated multibulk length"
    case .tooBigBulkCountString: "too big bulk count string"
    case .expectedDollar(let byte): "expected '$', got '\(byte >= 0x20 && byte < 0x7F ? String(UnicodeScalar(byte)) : " ")'"
    case .invalidBulkLength: "invalid bulk length"
    case .unauthenticatedBulkLength: "unauthenticated bulk length"
    case .tooBigInline: "too big inline request"
    case .unbalancedQuotes: "unbalanced quotes in request"
    }
  }
}

/// What ``RequestParser/parse(_:authenticated:)`` found.
enum ParseResult: Hashable {
  /// The request is not complete; worth asking again once `needed` bytes are there.
  case needMore
  /// A whole command; its arguments lie in the bytes that were passed.
  case command
  /// A whole inline command; its arguments lie in `inlineBytes`.
  case inline
  /// Bytes that ask for nothing (an empty line, an empty array).
  case nothing
  /// Not RESP. The connection cannot be used any more.
  case failed(ProtocolError)
}

/// Reads requests straight from the receive buffer: the arguments of a command are ranges into the bytes passed in, nothing is copied.
///
/// The parser remembers how far it came, so a command that arrives in many pieces costs time linear in its length. Positions are relative to
/// the first byte of the command, which the caller passes at the front each time. After `.command`, `.inline` or `.nothing` the caller
/// drops `consumed` bytes and calls ``next()``. Lengths are checked against the limits before anything waits for that many bytes.
struct RequestParser: ~Copyable {
  private(set) var arguments = ArgumentList()
  /// Decoded bytes of an inline command.
  private(set) var inlineBytes: [UInt8] = []
  /// Bytes read from the front so far; the length of the command once it is complete.
  private(set) var consumed = 0
  /// How many bytes must be there before another attempt can get further.
  private(set) var needed = 1
  private let limits: RequestLimits
  private var remaining = -1
  private var bulkLength = -1

  init(limits: RequestLimits = RequestLimits()) {
    self.limits = limits
  }

  /// Forgets the finished command.
  mutating func next() {
    arguments.removeAll()
    if !inlineBytes.isEmpty { inlineBytes = [] }
    consumed = 0
    needed = 1
    remaining = -1
    bulkLength = -1
  }

  mutating func parse(_ bytes: UnsafeRawBufferPointer, authenticated: Bool) -> ParseResult {
    guard bytes.count >= needed else { return .needMore }
    if remaining < 0 {
      guard bytes[0] == UInt8(ascii: "*") else { return parseInline(bytes) }
      switch readLength(bytes, from: 1) {
      case .incomplete: return .needMore
      case .tooLong: return .failed(.tooBigCountString)
      case .invalid: return .failed(.invalidMultibulkLength)
      case .value(let count, let end):
        guard count <= Int64(limits.arguments) else { return .failed(.invalidMultibulkLength) }
        guard authenticated || count <= Int64(limits.unauthenticatedArguments) else { return .failed(.unauthenticatedMultibulkLength) }
        consumed = end
        if count <= 0 { return .nothing }
        remaining = Int(count)
      }
    }
    return parseBulks(bytes, authenticated: authenticated)
  }

  private mutating func parseBulks(_ bytes: UnsafeRawBufferPointer, authenticated: Bool) -> ParseResult {
    while remaining > 0 {
      if bulkLength < 0 {
        guard consumed < bytes.count else {
          needed = consumed + 1
          return .needMore
        }
        guard bytes[consumed] == UInt8(ascii: "$") else { return .failed(.expectedDollar(bytes[consumed])) }
        switch readLength(bytes, from: consumed + 1) {
        case .incomplete: return .needMore
        case .tooLong: return .failed(.tooBigBulkCountString)
        case .invalid: return .failed(.invalidBulkLength)
        case .value(let length, let end):
          guard length >= 0, length <= Int64(limits.bulkBytes) else { return .failed(.invalidBulkLength) }
          guard authenticated || length <= Int64(limits.unauthenticatedBulkBytes) else { return .failed(.unauthenticatedBulkLength) }
          bulkLength = Int(length)
          consumed = end
        }
      }
      // The two bytes after the string are skipped unread, as Redis does.
      guard bytes.count - consumed >= bulkLength + 2 else {
        needed = consumed + bulkLength + 2
        return .needMore
      }
      arguments.append(offset: consumed, count: bulkLength)
      consumed += bulkLength + 2
      bulkLength = -1
      remaining -= 1
    }
    return .command
  }

  private enum Length {
    case incomplete, tooLong, invalid
    case value(Int64, end: Int)
  }

  /// The decimal number of the line that starts at `start`, and where the next line begins.
  private mutating func readLength(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Length {
    var index = start
    let count = bytes.count
    var value: Int64 = 0
    // Lengths are short: read digits while looking for the end of the line.
    while index < count, index - start < 18 {
      let digit = bytes[index] &- UInt8(ascii: "0")
      if digit > 9 { break }
      value = value * 10 + Int64(digit)
      index += 1
    }
    if index < count, bytes[index] == UInt8(ascii: "\r"), index > start {
      guard index + 1 < count else {
        needed = index + 2
        return .incomplete
      }
      // A leading zero is refused as Redis refuses it.
      if bytes[start] == UInt8(ascii: "0"), index - start > 1 { return .invalid }
      return .value(value, end: index + 2)
    }
    return readUnusualLength(bytes, from: start)
  }

  /// The slow path: signs, garbage, and lines that are not complete.
  private mutating func readUnusualLength(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Length {
    var end = start
    while end < bytes.count, bytes[end] != UInt8(ascii: "\r") {
      end += 1
      if end - start > limits.lineBytes { return .tooLong }
    }
    guard end + 1 < bytes.count else {
      needed = bytes.count + 1
      return .incomplete
    }
    guard let value = Decimal.parse(UnsafeRawBufferPointer(rebasing: bytes[start..<end])) else { return .invalid }
    return .value(value, end: end + 2)
  }

  private mutating func parseInline(_ bytes: UnsafeRawBufferPointer) -> ParseResult {
    // A resumed search starts where the last one ended: `needed` is one past the bytes seen then.
    var end = needed - 1
    while end < bytes.count, bytes[end] != UInt8(ascii: "\n") { end += 1 }
    guard end < bytes.count else {
      if bytes.count > limits.lineBytes { return .failed(.tooBigInline) }
      needed = bytes.count + 1
      return .needMore
    }
    if end > limits.lineBytes { return .failed(.tooBigInline) }
    consumed = end + 1
    if end > 0, bytes[end - 1] == UInt8(ascii: "\r") { end -= 1 }
    guard InlineSplitter.split(UnsafeRawBufferPointer(rebasing: bytes[0..<end]), into: &inlineBytes, arguments) else {
      return .failed(.unbalancedQuotes)
    }
    return arguments.count == 0 ? .nothing : .inline
  }
}

/// Splits an inline command into words, with the quoting of `redis-cli`: "double" with escapes, 'single' with \' only.
enum InlineSplitter {
  /// Answers false for unbalanced quotes, or a closing quote that is not followed by a space.
  static func split(_ line: UnsafeRawBufferPointer, into bytes: inout [UInt8], _ arguments: ArgumentList) -> Bool {
    var index = 0
    while true {
      while index < line.count, isSpace(line[index]) { index += 1 }
      guard index < line.count else { return true }
      let start = bytes.count
      guard word(line, &index, &bytes) else { return false }
      arguments.append(offset: start, count: bytes.count - start)
    }
  }

  private static func word(_ line: UnsafeRawBufferPointer, _ index: inout Int, _ bytes: inout [UInt8]) -> Bool {
    while index < line.count, !isSpace(line[index]) {
      switch line[index] {
      case UInt8(ascii: "\""):
        index += 1
        guard doubleQuoted(line, &index, &bytes) else { return false }
        return index == line.count || isSpace(line[index])
      case UInt8(ascii: "'"):
        index += 1
        guard singleQuoted(line, &index, &bytes) else { return false }
        return index == line.count || isSpace(line[index])
      case let byte:
        bytes.append(byte)
        index += 1
      }
    }
    return true
  }

  private static func doubleQuoted(_ line: UnsafeRawBufferPointer, _ index: inout Int, _ bytes: inout [UInt8]) -> Bool {
    while index < line.count {
      let byte = line[index]
      if byte == UInt8(ascii: "\"") {
        index += 1
        return true
      }
      guard byte == UInt8(ascii: "\\"), index + 1 < line.count else {
        bytes.append(byte)
        index += 1
        continue
      }
      if line[index + 1] == UInt8(ascii: "x"), index + 3 < line.count, let high = hex(line[index + 2]), let low = hex(line[index + 3]) {
        bytes.append(high << 4 | low)
        index += 4
        continue
      }
      bytes.append(unescaped(line[index + 1]))
      index += 2
    }
    return false
  }

  private static func singleQuoted(_ line: UnsafeRawBufferPointer, _ index: inout Int, _ bytes: inout [UInt8]) -> Bool {
    while index < line.count {
      let byte = line[index]
      if byte == UInt8(ascii: "'") {
        index += 1
        return true
      }
      if byte == UInt8(ascii: "\\"), index + 1 < line.count, line[index + 1] == UInt8(ascii: "'") { index += 1 }
      bytes.append(line[index])
      index += 1
    }
    return false
  }

  private static func unescaped(_ byte: UInt8) -> UInt8 {
    switch byte {
    case UInt8(ascii: "n"): 0x0A
    case UInt8(ascii: "r"): 0x0D
    case UInt8(ascii: "t"): 0x09
    case UInt8(ascii: "b"): 0x08
    case UInt8(ascii: "a"): 0x07
    default: byte
    }
  }

  private static func hex(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
  }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) || byte == 0 }
}
