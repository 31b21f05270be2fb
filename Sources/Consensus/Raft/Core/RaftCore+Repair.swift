import StrataNodes

/// What a node that lost durable records has learnt from the others.
struct RepairSurvey: Hashable, Sendable {
  var answered: Set<NodeID> = []
  var greatestTerm: Term = 0
}

// A node whose disk lost durable records does not know whom it voted for, nor what it acknowledged. Before it counts again it has to find out what
// it may have promised, and to hold all of it (compare Alagappan and others, Protocol-Aware Recovery for Consensus-Based Storage, FAST 2018).
//
// 1. It asks every other member for its term. A vote it gave and forgot was asked for by a member in a term that was durable there first, and
//    an entry it acknowledged came from a leader in such a term: all of them lie at or below the greatest answer, the floor. From now on it acts in
//    terms above the floor only, where it has promised nothing.
// 2. It follows whoever leads above the floor, and acknowledges what it makes durable, but gives no vote. Such a leader was elected without it,
//    so by a majority that shares a member, other than this node, with every majority that ever committed anything: its log holds all of that. As
//    soon as this node's log holds one durable entry of such a leader's term, it holds everything before it as well, and the node is whole.
extension RaftCore {
  mutating func askForTerms() {
    guard let survey else { return }
    for member in members.ids where member != id && !survey.answered.contains(member) {
      send(Message(.repair, to: member, context: incarnation))
    }
    concludeSurvey()
  }

  mutating func answerRepair(_ message: Message) {
    sendAfterPersist(Message(.repairResponse, to: message.from, term: max(term, 1), context: message.context))
  }

  mutating func countSurvey(_ message: Message) {
    guard var heard = survey, message.context == incarnation, members.place(of: message.from) != nil else { return }
    heard.answered.insert(message.from)
    heard.greatestTerm = max(heard.greatestTerm, message.term)
    survey = heard
    concludeSurvey()
  }

  private mutating func concludeSurvey() {
    guard let survey, members.ids.allSatisfy({ $0 == id || survey.answered.contains($0) }) else { return }
    self.survey = nil
    repairFloor = max(survey.greatestTerm, term, log.lastTerm)
    reset(to: repairFloor + 1)
    role = .follower
  }
}
