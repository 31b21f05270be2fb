/// What a history in a file can be judged for. Docs/Formats/History.md says what operations each kind expects.
public enum CheckKind: String, Hashable, Sendable, CaseIterable {
  /// Registers with read, write and compare-and-set are linearizable.
  case register
  /// A map from texts to texts with get, put, append and delete is linearizable.
  case keyValue = "key-value"
  /// A set with add, remove, contains and read is linearizable.
  case linearizableSet = "linearizable-set"
  /// A queue is linearizable.
  case linearizableQueue = "linearizable-queue"
  /// A counter is linearizable.
  case linearizableCounter = "linearizable-counter"
  /// Locks with fencing tokens are linearizable.
  case linearizableLock = "linearizable-lock"
  /// Transactions that append to lists and read them are isolated.
  case listAppend = "list-append"
  /// Transactions that write and read registers are isolated.
  case readWriteRegister = "rw-register"
  /// Sessions have their guarantees.
  case sessions
  /// Replicas that were told the same say the same.
  case convergence
  /// After a crash everything acknowledged is there.
  case durability
  /// Messages are delivered in one order.
  case totalOrder = "total-order"
  /// Locks have one holder, and fencing keeps out old ones.
  case mutex
  /// A bank neither makes nor loses money.
  case bank
  /// A set loses no element.
  case set
  /// A queue loses and doubles no value.
  case queue
  /// A counter stays within its bounds.
  case counter
  /// Identifiers are unique.
  case uniqueIDs = "unique-ids"
  /// Reads do not fork.
  case longFork = "long-fork"
  /// A partitioned log delivers everything once and in order.
  case log

  /// What it is for, in one line.
  public var summary: String {
    switch self {
    case .register: "read, write, cas on registers are linearizable"
    case .keyValue: "get, put, append, delete of texts are linearizable"
    case .linearizableSet: "add, remove, contains, read of a set are linearizable"
    case .linearizableQueue: "enqueue, dequeue are linearizable"
    case .linearizableCounter: "add, read of a counter are linearizable"
    case .linearizableLock: "acquire, release with fencing tokens are linearizable"
    case .listAppend: "transactions that append to lists are isolated"
    case .readWriteRegister: "transactions on registers are isolated"
    case .sessions: "sessions read their writes, read and write monotonically, write after what they read"
    case .convergence: "replicas that were told the same say the same"
    case .durability: "what was acknowledged survives a crash, in order and whole"
    case .totalOrder: "nodes deliver one sequence"
    case .mutex: "locks have one holder, tokens grow, old tokens are kept out"
    case .bank: "transfers keep the total"
    case .set: "added elements stay"
    case .queue: "values come out once"
    case .counter: "reads lie within bounds"
    case .uniqueIDs: "no identifier comes twice"
    case .longFork: "reads see writes in one order"
    case .log: "a partitioned log loses, doubles and reorders nothing"
    }
  }
}

/// What a check of a file may be told beside its kind.
public struct CheckOptions: Sendable {
  /// The isolation level that transactions were promised.
  public var level = IsolationLevel.serializable
  /// From what the order of a register's versions may be taken.
  public var order: RegisterOrder = []
  /// The sum of all accounts of a bank; nothing for that of its first read.
  public var total: Int?
  /// Whether accounts may be below zero.
  public var allowsDebts = false
  /// Whether locks expire.
  public var leases = false
  /// Whether the queue was emptied at the end.
  public var isDrained = false
  /// What a search may spend.
  public var budget = CheckBudget()

  /// The defaults.
  public init() {}
}

extension HistoryFile {
  /// Judges the history.
  ///
  /// - Throws: ``HistoryError`` with the line of an operation that is none of the kind.
  public func verdict(as kind: CheckKind, _ options: CheckOptions = CheckOptions()) throws(HistoryError) -> Verdict {
    do {
      return switch kind {
      case .register: Linearizability.check(try registers(), against: RegisterModel(), budget: options.budget)
      case .keyValue: Linearizability.check(try keyValues(), against: KeyValueModel(), budget: options.budget)
      case .linearizableSet: Linearizability.check(try sets(), against: SetModel(), budget: options.budget)
      case .linearizableQueue: Linearizability.check(try queues(), against: QueueModel(), budget: options.budget)
      case .linearizableCounter: Linearizability.check(try counters(), against: CounterModel(), budget: options.budget)
      case .linearizableLock: Linearizability.check(try locks(), against: LockModel(), budget: options.budget)
      case .listAppend: try Isolation.checkListAppend(try listTransactions(), expecting: options.level, budget: options.budget)
      case .readWriteRegister:
        try Isolation.checkRegisters(try registerTransactions(), expecting: options.level, order: options.order, budget: options.budget)
      case .sessions: SessionGuarantees.check(try versions())
      case .convergence: Convergence.check(try replicas())
      case .durability: try durability()
      case .totalOrder: try totalOrder()
      case .mutex: MutualExclusion.check(try fencedLocks(), leases: options.leases)
      case .bank: try bank(options)
      case .set: Invariants.set(try sets())
      case .queue: Invariants.queue(try queues(), isDrained: options.isDrained)
      case .counter: Invariants.counter(try counters())
      case .uniqueIDs: Invariants.uniqueIDs(history)
      case .longFork: Invariants.longFork(try forks())
      case .log: LogDelivery.check(try log())
      }
    } catch .duplicateWrite(let what, let place, let before) {
      throw .duplicateWrite(of: what, at: line(of: place), before: line(of: before))
    } catch { throw error }
  }

  private func line(of place: HistoryError.Place) -> HistoryError.Place {
    if case .event(let index) = place { return self.place(of: index) }
    return place
  }
}
