import StrataNodes

@testable import StrataRaft

/// The words in which etcd's scripts speak of things.
enum ScriptText {
  struct Unreadable: Error, CustomStringConvertible { let description: String }

  static func steps(_ line: String) throws -> [ConfChange.Step] {
    try line.split(separator: " ").map { token in
      guard let number = UInt64(token.dropFirst()) else { throw Unreadable(description: "unknown token \(token)") }
      let id = NodeID(number)
      switch token.first {
      case "v": return .addVoter(id)
      case "l": return .addLearner(id)
      case "r": return .remove(id)
      case "u": return .update(id)
      default: throw Unreadable(description: "unknown input: \(token)")
      }
    }
  }

  static func progress(_ members: Members) -> [String] {
    members.ids.indices.map { place in
      let progress = members.progress[place]
      let state =
        switch progress.state {
        case .probe: "StateProbe"
        case .replicate: "StateReplicate"
        case .snapshot: "StateSnapshot"
        }
      var text = "\(members.ids[place].rawValue): \(state) match=\(progress.match) next=\(progress.next)"
      if progress.isLearner { text += " learner" }
      if progress.isPaused { text += " paused" }
      if case .snapshot(let pending) = progress.state { text += " pendingSnap=\(pending)" }
      if !progress.isActive { text += " inactive" }
      if progress.inFlight > 0 { text += " inflight=\(progress.inFlight)" + (progress.inflights.isFull ? "[full]" : "") }
      return text
    }
  }

  static func entry(_ entry: Entry) -> String {
    let place = "\(entry.term)/\(entry.index)"
    guard entry.kind == .confChange else { return "\(place) EntryNormal \"\(String(decoding: entry.payload, as: UTF8.self))\"" }
    guard let change = ConfChange(decoding: entry.payload) else { return "\(place) unreadable" }
    let steps = change.steps.map { step in
      switch step {
      case .addVoter(let id): " v\(id.rawValue)"
      case .addLearner(let id): " l\(id.rawValue)"
      case .remove(let id): " r\(id.rawValue)"
      case .update(let id): " u\(id.rawValue)"
      }
    }
    // The harness marks changes proposed in etcd's older form, which differ from the newer in their name alone.
    return "\(place) EntryConfChange\(change.context == RaftScript.olderForm ? "" : "V2")" + steps.joined()
  }

  private static let kinds: [Message.Kind: String] = [
    .append: "MsgApp", .appendResponse: "MsgAppResp", .vote: "MsgVote", .voteResponse: "MsgVoteResp", .preVote: "MsgPreVote",
    .preVoteResponse: "MsgPreVoteResp", .heartbeat: "MsgHeartbeat", .heartbeatResponse: "MsgHeartbeatResp", .snapshot: "MsgSnap",
    .propose: "MsgProp", .timeoutNow: "MsgTimeoutNow", .readIndex: "MsgReadIndex", .readIndexResponse: "MsgReadIndexResp",
    .transfer: "MsgTransferLeader",
  ]

  static func message(_ message: Message) -> String {
    // A refusal's term hint came after the version of these scripts, which say 0 there.
    let logTerm = message.kind == .appendResponse ? 0 : message.logTerm
    var text = "\(message.from.rawValue)->\(message.to.rawValue) \(kinds[message.kind] ?? "?") Term:\(message.term) Log:\(logTerm)/\(message.index)"
    // That votes tell what is committed is this implementation's.
    let isVote = [.vote, .voteResponse, .preVote, .preVoteResponse].contains(message.kind)
    if message.isRejected { text += " Rejected (Hint: \(isVote ? 0 : message.hint))" }
    if message.commit != 0, !isVote { text += " Commit:\(message.commit)" }
    if !message.entries.isEmpty { text += " Entries:[" + message.entries.map(entry).joined(separator: ", ") + "]" }
    if let snapshot = message.snapshot { text += " Snapshot: " + self.snapshot(snapshot) }
    return text
  }

  static func snapshot(_ snapshot: Snapshot) -> String {
    func list(_ ids: [NodeID]) -> String { "[" + ids.map { String($0.rawValue) }.joined(separator: " ") + "]" }
    let conf = snapshot.confState
    return "Index:\(snapshot.index) Term:\(snapshot.place.term) ConfState:Voters:\(list(conf.voters)) VotersOutgoing:\(list(conf.outgoing)) "
      + "Learners:\(list(conf.learners)) LearnersNext:\(list(conf.learnersNext)) AutoLeave:\(conf.autoLeave)"
  }

  static func hardState(_ state: HardState) -> String {
    "Term:\(state.term)" + (state.vote == 0 ? "" : " Vote:\(state.vote.rawValue)") + " Commit:\(state.commit)"
  }

  static func ready(_ ready: Ready, after previous: HardState) -> [String] {
    var lines: [String] = []
    if let soft = ready.softState {
      let role = ["StateFollower", "StateCandidate", "StateLeader", "StatePreCandidate"][Int(soft.role.rawValue)]
      lines.append("Lead:\(soft.leader.rawValue) State:\(role)")
    }
    var mustSync = false
    if let append = ready.append {
      if let state = append.hardState {
        lines.append("HardState " + hardState(state))
        mustSync = state.term != previous.term || state.vote != previous.vote
      }
      mustSync = mustSync || !append.entries.isEmpty
      if !append.entries.isEmpty { lines += ["Entries:"] + append.entries.map(entry) }
      if let snapshot = append.snapshot { lines.append("Snapshot " + self.snapshot(snapshot)) }
    }
    if let apply = ready.apply { lines += ["CommittedEntries:"] + apply.entries.map(entry) }
    let messages = RaftScript.outgoing(ready)
    if !messages.isEmpty { lines += ["Messages:"] + messages.map(message) }
    return lines.isEmpty ? ["<empty Ready>"] : ["Ready MustSync=\(mustSync):"] + lines
  }
}
