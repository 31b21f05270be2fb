import StrataDisk

/// Why a host does not do, or did not finish, what was asked.
public enum HostError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The node could not be started: its log cannot be read, or makes no sense, or the transport has no place for it.
  case cannotStart(String)
  /// So many requests are open already; this one was not taken. Try again later.
  case overloaded(limit: Int)
  /// The node takes no requests any more; this one was not taken.
  case unavailable(Ending)
  /// The request was taken, and nobody knows what became of it: it may have had its effect, may yet have it, or never.
  case outcomeUnknown(Loss)

  /// Why a node takes no requests any more.
  public enum Ending: Hashable, Sendable, CustomStringConvertible {
    /// It was stopped.
    case stopped
    /// It stopped itself because an invariant is broken; the text says which.
    case halted(String)
    /// Its log failed: what it holds is not known before it is opened again.
    case logFailed(DiskError)

    /// What happened and what can be done.
    public var description: String {
      switch self {
      case .stopped: "the node was stopped"
      case .halted(let reason): "the node stopped itself, an invariant is broken: \(reason)"
      case .logFailed(let error): "the node's log has failed (\(error)); restart the node"
      }
    }
  }

  /// Why an answer will not come.
  public enum Loss: Hashable, Sendable, CustomStringConvertible {
    /// The deadline passed.
    case deadline
    /// The client gave up.
    case cancelled
    /// The node ended.
    case ended(Ending)

    /// What happened.
    public var description: String {
      switch self {
      case .deadline: "there was no answer before the deadline"
      case .cancelled: "the request was given up"
      case .ended(let ending): ending.description
      }
    }
  }

  /// What happened and what can be done.
  public var description: String {
    switch self {
    case .cannotStart(let why): "the node cannot be started: \(why)"
    case .overloaded(let limit): "\(limit) requests are open already; try again later"
    case .unavailable(let ending): ending.description
    case .outcomeUnknown(let loss): "the request may or may not have had its effect: \(loss)"
    }
  }
}
