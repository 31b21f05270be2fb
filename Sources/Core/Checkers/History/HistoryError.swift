/// A history that cannot have happened, whatever the system did: the recorder or the file is wrong, not the system. It is no verdict.
public enum HistoryError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Where in a history.
  public enum Place: Hashable, Sendable, CustomStringConvertible {
    /// The event with this index, from 0.
    case event(Int)
    /// The line of a file, from 1.
    case line(Int)

    /// As `event 3` or `line 4`.
    public var description: String {
      switch self {
      case .event(let index): "event \(index)"
      case .line(let number): "line \(number)"
      }
    }
  }

  /// A process asks for something while its last operation is open. Give every thread or connection a process number of its own.
  case invokedTwice(process: Int, at: Place)
  /// A process ends an operation it has not begun.
  case endedWithoutInvocation(process: Int, at: Place)
  /// In a file, a process goes on after `info`, which retires it. Its client must go on under a new number.
  case retiredProcess(process: Int, at: Place)
  /// Two operations write what only one may write, so a read could not tell them apart.
  case duplicateWrite(of: String, at: Place, before: Place)
  /// The bytes are no history of the format they are read as.
  case malformed(String, at: Place)
  /// A format, or a version of one, that this release does not read.
  case unsupported(String, at: Place)
  /// The file's last line says what all before it must add up to, and it does not.
  case checksumMismatch(expected: UInt32, actual: UInt32, at: Place)

  /// Where the history is wrong.
  public var place: Place {
    switch self {
    case .invokedTwice(_, let place), .endedWithoutInvocation(_, let place), .retiredProcess(_, let place), .duplicateWrite(_, let place, _),
      .malformed(_, let place), .unsupported(_, let place), .checksumMismatch(_, _, let place):
      place
    }
  }

  /// What is wrong, where, and what to do about it.
  public var description: String {
    switch self {
    case .invokedTwice(let process, let place):
      "\(place): process \(process) invokes while its last operation is open; a process does one thing at a time"
    case .endedWithoutInvocation(let process, let place): "\(place): process \(process) ends an operation it has not begun"
    case .retiredProcess(let process, let place):
      "\(place): process \(process) goes on after an operation that never ended; its client must take a new process number"
    case .duplicateWrite(let what, let place, let first): "\(place): \(what) was written before, at \(first); written values must be unique"
    case .malformed(let reason, let place): "\(place): \(reason)"
    case .unsupported(let what, let place): "\(place): \(what) is not supported"
    case .checksumMismatch(let expected, let actual, let place):
      "\(place): the lines before it have the CRC-32C \(actual), not \(expected) as it says; the file was changed"
    }
  }
}
