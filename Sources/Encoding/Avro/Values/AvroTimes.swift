/// A calendar day as `date` has it: days since 1970-01-01 in the proleptic Gregorian calendar.
public struct AvroDate: Sendable, Hashable, CustomStringConvertible {
  /// Days since 1970-01-01.
  public var daysSinceEpoch: Int32

  /// The day so many days after 1970-01-01.
  public init(daysSinceEpoch: Int32) { self.daysSinceEpoch = daysSinceEpoch }

  /// Year, month and day. From eras of 400 years that begin in March, so that the leap day comes last.
  public var civil: (year: Int, month: Int, day: Int) {
    let days = Int(daysSinceEpoch) + 719_468
    let era = (days >= 0 ? days : days - 146_096) / 146_097
    let ofEra = days - era * 146_097
    let yearOfEra = (ofEra - ofEra / 1460 + ofEra / 36_524 - ofEra / 146_096) / 365
    let ofYear = ofEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * ofYear + 2) / 153
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, ofYear - (153 * monthFromMarch + 2) / 5 + 1)
  }

  /// ISO 8601: `2024-02-29`.
  public var description: String {
    let (year, month, day) = civil
    return "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))"
  }
}

/// What `duration` holds: three spans that do not convert into each other.
public struct AvroDuration: Sendable, Hashable {
  /// Months.
  public var months: UInt32
  /// Days.
  public var days: UInt32
  /// Milliseconds.
  public var milliseconds: UInt32

  /// A duration of these.
  public init(months: UInt32, days: UInt32, milliseconds: UInt32) {
    self.months = months
    self.days = days
    self.milliseconds = milliseconds
  }

  /// The duration in the twelve bytes of a `fixed`; `nil` for other values.
  public init?(_ value: AvroValue) {
    guard case .fixed(let bytes) = value, bytes.count == 12 else { return nil }
    let number = { (at: Int) in (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[at + $1]) << UInt32(8 * $1) } }
    self.init(months: number(0), days: number(4), milliseconds: number(8))
  }

  /// The value of a `fixed` of 12.
  public var value: AvroValue {
    .fixed([months, days, milliseconds].flatMap { number in (0..<4).map { UInt8(truncatingIfNeeded: number >> UInt32(8 * $0)) } })
  }
}

/// A UUID as `uuid` has it, on `string` or on `fixed` of 16.
public struct AvroUUID: Sendable, Hashable, CustomStringConvertible {
  /// The 16 bytes, as RFC 9562 orders them.
  public let bytes: [UInt8]

  /// The UUID that a value is; `nil` where it is none.
  public init?(_ value: AvroValue) {
    switch value {
    case .fixed(let bytes) where bytes.count == 16: self.bytes = bytes
    case .string(let text):
      let groups = text.split(separator: "-", omittingEmptySubsequences: false)
      guard groups.map(\.utf8.count) == [8, 4, 4, 4, 12] else { return nil }
      let digits = groups.joined().utf8.map { Character(Unicode.Scalar($0)).hexDigitValue ?? 16 }
      guard digits.count == 32, digits.allSatisfy({ $0 < 16 }) else { return nil }
      bytes = stride(from: 0, to: 32, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    default: return nil
    }
  }

  /// `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`
  public var description: String {
    var text = ""
    for (index, byte) in bytes.enumerated() {
      if [4, 6, 8, 10].contains(index) { text += "-" }
      text += (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
    return text
  }
}

private func padded(_ number: Int, _ width: Int) -> String {
  let digits = String(number.magnitude)
  return (number < 0 ? "-" : "") + String(repeating: "0", count: max(0, width - digits.count)) + digits
}

extension AvroSchema {
  /// What a value of a logical type says, as people write it: `12.50`, `2024-02-29`, `2024-02-29T12:00:00.123Z`, a UUID; `nil` where the
  /// schema has no logical type or the value is none of it. Times local to the reader have no `Z`.
  public func text(_ value: AvroValue) -> String? {
    switch (logicalType, value) {
    case (.decimal, _), (.bigDecimal, _): return decimal(value)?.description
    case (.uuid, _): return AvroUUID(value)?.description
    case (.date, .int(let days)): return AvroDate(daysSinceEpoch: days).description
    case (.timeMillis, .int(let time)): return clock(Int64(time), perSecond: 1000)
    case (.timeMicros, .long(let time)): return clock(time, perSecond: 1_000_000)
    case (.timestampMillis, .long(let time)): return moment(time, perSecond: 1000) + "Z"
    case (.timestampMicros, .long(let time)): return moment(time, perSecond: 1_000_000) + "Z"
    case (.timestampNanos, .long(let time)): return moment(time, perSecond: 1_000_000_000) + "Z"
    case (.localTimestampMillis, .long(let time)): return moment(time, perSecond: 1000)
    case (.localTimestampMicros, .long(let time)): return moment(time, perSecond: 1_000_000)
    case (.localTimestampNanos, .long(let time)): return moment(time, perSecond: 1_000_000_000)
    case (.duration, _):
      return AvroDuration(value).map { "P\($0.months)M\($0.days)DT\($0.milliseconds / 1000).\(padded(Int($0.milliseconds % 1000), 3))S" }
    default: return nil
    }
  }

  private func clock(_ time: Int64, perSecond: Int64) -> String {
    let seconds = time / perSecond
    let fraction = padded(Int(time % perSecond), String(perSecond).utf8.count - 1)
    return "\(padded(Int(seconds / 3600), 2)):\(padded(Int(seconds / 60 % 60), 2)):\(padded(Int(seconds % 60), 2)).\(fraction)"
  }

  private func moment(_ time: Int64, perSecond: Int64) -> String {
    let perDay = 86_400 * perSecond
    // Rounded down, so that times before 1970 fall into the day that they are of.
    let day = time / perDay - (time % perDay < 0 ? 1 : 0)
    let ofDay = time % perDay + (time % perDay < 0 ? perDay : 0)
    guard let days = Int32(exactly: day) else { return "day \(day)T\(clock(ofDay, perSecond: perSecond))" }
    return "\(AvroDate(daysSinceEpoch: days))T\(clock(ofDay, perSecond: perSecond))"
  }
}
