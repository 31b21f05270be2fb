import StrataNodes

/// The questions a member has been asked and not answered: in batches that share one index to be read at.
struct OpenQuestions: Sendable {
  struct Question: Sendable {
    var client: SessionID
    var bytes: [UInt8]
  }

  struct Batch: Sendable {
    var name: UInt64
    var questions: [Question]
    /// What has to be applied first; nothing while the leader has not said.
    var index: LogIndex?
    /// The tick in which the leader was last asked.
    var asked: UInt64
    /// When it was first asked, on this member's clock.
    var began: Instant
  }

  /// Questions for which the leader has not been asked.
  var fresh: [Question] = []
  private(set) var batches: [Batch] = []
  private var lastName: UInt64 = 0

  /// How many there are.
  var count: Int { fresh.count + asked }
  private var asked = 0

  /// The name under which the leader is to be asked next.
  var nextName: UInt64 { lastName + 1 }

  /// The leader has been asked under ``nextName`` on behalf of all fresh questions.
  mutating func ask(tick: UInt64, at now: Instant) {
    lastName += 1
    batches.append(Batch(name: lastName, questions: fresh, index: nil, asked: tick, began: now))
    asked += fresh.count
    fresh = []
  }

  /// The leader has said what a batch must see.
  mutating func answer(_ name: UInt64, _ index: LogIndex) {
    guard let place = batches.firstIndex(where: { $0.name == name }) else { return }
    batches[place].index = batches[place].index ?? index
  }

  /// Takes the batches that a machine which has applied this much can answer, in the order in which they were asked.
  mutating func take(applied: LogIndex) -> [Batch] {
    guard batches.contains(where: { $0.index.map { $0 <= applied } ?? false }) else { return [] }
    var ready: [Batch] = []
    batches.removeAll { batch in
      guard let index = batch.index, index <= applied else { return false }
      ready.append(batch)
      asked -= batch.questions.count
      return true
    }
    return ready
  }

  /// Visits the batches for which the leader was last asked in or before a tick, and notes that it is asked in `now`.
  mutating func repeatAsked(upTo tick: UInt64, now: UInt64, _ body: (UInt64) -> Void) {
    for place in batches.indices where batches[place].index == nil && batches[place].asked <= tick {
      batches[place].asked = now
      body(batches[place].name)
    }
  }

  /// A client has gone.
  mutating func forget(_ client: SessionID) {
    fresh.removeAll { $0.client == client }
    for place in batches.indices { batches[place].questions.removeAll { $0.client == client } }
    batches.removeAll { $0.questions.isEmpty }
    asked = batches.reduce(0) { $0 + $1.questions.count }
  }
}
