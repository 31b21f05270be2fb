import Logging
import StrataHost
import StrataNodes
import StrataRaft
import Testing

@testable import StrataRESP

@Suite(.serialized) struct ReplicationTests {
  @Test func anyMemberTakesAnyCommand() throws {
    let group = try Group()
    let clients = try group.founders.keys.sorted().map { try group.connect($0) }
    #expect(try clients[0].call("SET", "a", "1") == .ok)
    for client in clients { #expect(try client.call("GET", "a") == .bulk("1")) }
    #expect(try clients[1].call("INCR", "a") == .integer(2))
    #expect(try clients[2].call("INCRBY", "a", "5") == .integer(7))
    #expect(try clients[0].call("MSET", "b", "2", "c", "3") == .ok)
    #expect(try clients[1].call("MGET", "a", "b", "c", "d") == .array([.bulk("7"), .bulk("2"), .bulk("3"), .null]))
    #expect(try clients[2].call("DEL", "a", "b", "nothing") == .integer(2))
    #expect(try clients[0].call("EXISTS", "a", "b", "c") == .integer(1))
    #expect(try clients[1].call("DBSIZE") == .integer(1))
    #expect(try clients[2].call("GETSET", "c", "4") == .bulk("3"))
    #expect(try clients[0].call("APPEND", "c", "2") == .integer(2))
    #expect(try clients[1].call("INCR", "nothing", "here") == .error("ERR wrong number of arguments for 'incr' command"))
    #expect(try clients[1].call("SET", "w", "x") == .ok)
    #expect(try clients[0].call("INCR", "w") == .error("ERR value is not an integer or out of range"))
    #expect(try clients[2].call("FLUSHALL") == .ok)
    #expect(try clients[0].call("GET", "c") == .null)
  }

  @Test func aPipelineIsAnsweredInItsOrder() throws {
    let group = try Group()
    for id in group.founders.keys.sorted() {
      let client = try group.connect(id)
      var bytes: [UInt8] = []
      for number in 0..<300 {
        bytes += Client.encode(["SET", "k\(number % 7)", "\(number)"])
        bytes += Client.encode(["GET", "k\(number % 7)"])
        if number % 50 == 0 { bytes += Client.encode(["PING", "p\(number)"]) + Array("ECHO inline\r\n".utf8) }
        if number % 60 == 0 { bytes += Client.encode(["SELECT", "\(number / 60)"]) }
      }
      try client.send(bytes)
      for number in 0..<300 {
        #expect(try client.reply() == .ok)
        #expect(try client.reply() == .bulk("\(number)"))
        if number % 50 == 0 {
          #expect(try client.reply() == .bulk("p\(number)"))
          #expect(try client.reply() == .bulk("inline"))
        }
        if number % 60 == 0 { #expect(try client.reply() == .ok) }
      }
    }
  }

  @Test func repliesSpeakTheProtocolOfTheClient() throws {
    let group = try Group(1)
    let client = try group.connect(1)
    try client.send(Client.encode(["HELLO", "3"]) + Client.encode(["GETDEL", "no"]) + Client.encode(["SET", "k", "v", "GET"]))
    _ = try client.reply()
    #expect(try client.reply() == .null)
    #expect(try client.reply() == .null)
    #expect(try client.call("SET", "k", "w", "GET") == .bulk("v"))
  }

  @Test func writesGoOnWithoutTheLeader() throws {
    let group = try Group()
    let leader = try group.leader()
    let others = group.founders.keys.filter { $0 != leader }.sorted()
    #expect(try group.connect(leader).call("SET", "a", "1") == .ok)
    group.network.isolate(leader)
    let client = try group.connect(others[0])
    #expect(try client.call("INCR", "a") == .integer(2))
    #expect(try group.connect(others[1]).call("GET", "a") == .bulk("2"))
    group.network.heal()
    #expect(try group.connect(leader).call("GET", "a") == .bulk("2"))
  }

  @Test(.requirement("Raft.never.1")) func aMinorityAnswersNothing() throws {
    let group = try Group { $0.timeout = .milliseconds(700) }
    let leader = try group.leader()
    #expect(try group.connect(leader).call("SET", "a", "1") == .ok)
    group.network.isolate(leader)
    let client = try group.connect(leader)
    guard case .error(let write) = try client.call("SET", "a", "2") else {
      Issue.record("a leader without a majority has acknowledged a write")
      return
    }
    #expect(write.hasPrefix("UNKNOWN the outcome is not known"))
    guard case .error(let read) = try client.call("GET", "a") else {
      Issue.record("a leader without a majority has answered a read")
      return
    }
    #expect(read.hasPrefix("CLUSTERDOWN"))
    // What needs no group is answered all the same.
    #expect(try client.call("PING") == .simple("PONG"))
    group.network.heal()
    let answer = try group.eventually { if case .bulk(let bytes) = try client.call("GET", "a") { bytes } else { nil } }
    #expect(answer == Array("1".utf8) || answer == Array("2".utf8))
  }

  @Test func whatWasAnsweredSurvivesTheStopOfAll() throws {
    let group = try Group()
    let client = try group.connect(1)
    for number in 0..<50 { #expect(try client.call("SET", "k\(number)", "v\(number)") == .ok) }
    #expect(try client.call("PEXPIREAT", "k7", "1") == .integer(1))
    for id in group.founders.keys { try group.stop(id) }
    for id in group.founders.keys.sorted() { try group.start(id) }
    let again = try group.connect(2)
    for number in 0..<50 { #expect(try again.call("GET", "k\(number)") == (number == 7 ? .null : .bulk("v\(number)"))) }
    #expect(try again.call("DBSIZE") == .integer(49))
  }

  @Test(.requirement("Raft.never.3"), .requirement("Raft.never.4")) func aStoreComesBackFromItsCheckpoint() throws {
    let group = try Group { $0.snapshotBytes = 20_000 }
    let client = try group.connect(1)
    var sum = 0
    for number in 1...400 {
      #expect(try client.call("INCRBY", "sum", "\(number)") == .integer(Int64(sum + number)))
      #expect(try client.call("SET", "k\(number % 40)", String(repeating: "x", count: 200) + "\(number)") == .ok)
      sum += number
    }
    let first = try #require(Int(try group.status(1)["raft_log_first"] ?? ""))
    #expect(first > 100)
    for id in group.founders.keys { try group.stop(id) }
    for id in group.founders.keys.sorted() { try group.start(id) }
    let again = try group.connect(3)
    #expect(try again.call("GET", "sum") == .bulk("\(sum)"))
    #expect(try again.call("GET", "k7") == .bulk(String(repeating: "x", count: 200) + "367"))
    #expect(try again.call("INCR", "sum") == .integer(Int64(sum + 1)))
  }

  @Test func aCheckpointThatTakesLongCostsNoElection() throws {
    let files = HeldFiles()
    defer { files.hold(false) }
    let group = try Group {
      $0.snapshotBytes = 20_000
      $0.fileSystem = files
    }
    let leader = try group.leader()
    let client = try group.connect(leader)
    let term = try group.status(leader)["raft_term"]
    #expect(term != nil)
    files.hold(true)
    // Until a checkpoint is held: the command behind it is not answered then.
    for number in 0..<5000 where !files.isHolding {
      try client.send(Client.encode(["SET", "k\(number % 40)", String(repeating: "x", count: 1000)]))
      if try group.eventually({ files.isHolding || !client.isSilent ? true : nil }), !client.isSilent { #expect(try client.reply() == .ok) }
    }
    #expect(files.isHolding)
    // Longer than the longest election timeout, 20 ticks of 25 ms.
    let start = Clocks.nanoseconds()
    do {
      while Clocks.nanoseconds() &- start < 1_500_000_000 {
        for id in group.founders.keys.sorted() {
          #expect(try group.status(id)["raft_term"] == term)
          #expect(try group.status(id)["raft_leader"] == "\(leader.rawValue)")
        }
      }
    } catch {
      // A member that waits can only be stopped when it does no more.
      files.hold(false)
      throw error
    }
    files.hold(false)
    let again = try group.connect(leader)
    #expect(try again.call("SET", "k", "after") == .ok)
    #expect(try again.call("GET", "k") == .bulk("after"))
    #expect(try group.status(leader)["raft_term"] == term)
  }

  @Test func writesOfManyConnectionsAtOnceAreAnsweredEachItsOwn() throws {
    let group = try Group()
    let clients = try (0..<60).map { (place: $0, client: try group.connect(NodeID(UInt64($0 % 3) + 1))) }
    for round in 0..<10 {
      for (place, client) in clients {
        try client.send(
          Client.encode(["SET", "k\(place)", "\(place)-\(round)", "GET"]) + Client.encode(["INCR", "n"]) + Client.encode(["GET", "k\(place)"]))
      }
      var numbers: Set<Int64> = []
      for (place, client) in clients {
        #expect(try client.reply() == (round == 0 ? .null : .bulk("\(place)-\(round - 1)")))
        if case .integer(let number) = try client.reply() { numbers.insert(number) }
        #expect(try client.reply() == .bulk("\(place)-\(round)"))
      }
      #expect(numbers == Set(Int64(round * 60 + 1)...Int64(round * 60 + 60)))
    }
  }

  @Test func aCommandInTwoEntriesIsCarriedOutOnce() throws {
    let group = try Group()
    let leader = try group.leader()
    let follower = try #require(group.founders.keys.sorted().first { $0 != leader })
    let client = try group.connect(follower)
    #expect(try client.call("INCR", "n") == .integer(1))
    for number in 2...40 {
      // The answer, or the question, gets lost; it is asked again under the same number.
      group.network.cut(from: number % 2 == 0 ? leader : follower, to: number % 2 == 0 ? follower : leader)
      try client.send(Client.encode(["INCR", "n"]))
      for _ in 0..<(number * 50) { _ = try group.status(leader)["role"] == nil }
      group.network.heal()
      #expect(try client.reply() == .integer(Int64(number)))
      if number > 6 { break }
    }
  }

  @Test func whatFitsNoEntryIsRefused() throws {
    let group = try Group(1)
    let client = try group.connect(1)
    let half = String(repeating: "x", count: 5 << 20)
    #expect(try client.call("SET", "a", half) == .ok)
    #expect(try client.call("MSET", "b", half, "c", half) == .error("ERR commands that go through the log together may have 8388544 bytes"))
    #expect(try client.call("STRLEN", "a") == .integer(5 << 20))
    #expect(try client.call("EXISTS", "b", "c") == .integer(0))
  }

  // MARK: What the server says of itself

  @Test func slowCommandsShowAsTheyDoOnOneServer() throws {
    let group = try Group(1)
    let client = try group.connect(1)
    _ = try group.leader()
    #expect(try client.call("CLIENT", "SETNAME", "tester") == .ok)
    #expect(try client.call("CONFIG", "SET", "slowlog-log-slower-than", "0") == .ok)
    #expect(try client.call("CONFIG", "SET", "latency-monitor-threshold", "1") == .ok)
    try client.send(Client.encode(["SET", "a", "1"]) + Client.encode(["GET", "a"]))
    #expect(try client.reply() == .ok)
    #expect(try client.reply() == .bulk("1"))
    guard case .array(let entries) = try client.call("SLOWLOG", "GET", "-1") else {
      Issue.record("SLOWLOG")
      return
    }
    let calls = entries.compactMap { entry -> [Reply]? in if case .array(let fields) = entry { fields } else { nil } }
    for words in [["SET", "a", "1"], ["GET", "a"]] {
      let entry = try #require(calls.first { $0[3] == .array(words.map { .bulk($0) }) }, "\(words)")
      #expect(entry[5] == .bulk("tester"))
    }
    // A write of a few megabytes, synced, takes more than a millisecond.
    let long = String(repeating: "x", count: 6 << 20)
    _ = try group.eventually {
      guard try client.call("SET", "long", long) == .ok, case .array(let latest) = try client.call("LATENCY", "LATEST") else { return nil as Bool? }
      return latest.isEmpty ? nil : true
    }
    #expect(try client.call("CONFIG", "SET", "slowlog-log-slower-than", "-1") == .ok)
    #expect(try client.call("SLOWLOG", "RESET") == .ok)
    #expect(try client.call("SET", "a", "2") == .ok)
    #expect(try client.call("SLOWLOG", "LEN") == .integer(0))
  }

  @Test func roleInfoAndWaitTellTheTruth() throws {
    let group = try Group()
    let leader = try group.leader()
    let follower = try #require(group.founders.keys.sorted().first { $0 != leader })
    let client = try group.connect(leader)
    #expect(try client.call("SET", "a", "1") == .ok)
    #expect(try client.call("WAIT", "2", "20000") == .integer(2))
    group.network.isolate(follower)
    #expect(try client.call("SET", "a", "2") == .ok)
    #expect(try client.call("WAIT", "2", "50") == .integer(1))
    group.network.heal()
    guard case .array(let role) = try client.call("ROLE"), role.count == 3, case .array(let replicas) = role[2] else {
      Issue.record("ROLE")
      return
    }
    #expect(role[0] == .bulk("master"))
    #expect(replicas.count >= 1)
    let client2 = try group.connect(follower)
    let port = try #require(group.servers[leader]?.port)
    _ = try group.eventually {
      if case .array(let role) = try client2.call("ROLE"), role[0] == .bulk("slave"), role[2] == .integer(Int64(port)) { true } else { nil }
    }
    guard case .bulk(let info) = try client2.call("INFO", "replication") else {
      Issue.record("INFO")
      return
    }
    let text = String(decoding: info, as: UTF8.self)
    #expect(text.contains("role:slave") && text.contains("raft_node:\(follower.rawValue)") && text.contains("raft_leader:\(leader.rawValue)"))
  }

  // MARK: Members

  @Test func membersComeAndGoWhileOthersWrite() throws {
    let group = try Group()
    var leader = try group.leader()
    let client = try group.connect(leader)
    for number in 0..<20 { #expect(try client.call("SET", "k\(number)", "v") == .ok) }
    try group.start(4) { $0.peerAddress = "member:4" }
    #expect(try group.connect(leader).call("RAFT", "ADD", "4", "member:4") == .ok)
    _ = try group.eventually { try group.status(leader)["member4"]?.hasPrefix("kind=voter") == true ? true : nil }
    #expect(try group.connect(4).call("GET", "k7") == .bulk("v"))
    // Half of four is no majority; three are.
    let gone = try #require(group.founders.keys.sorted().first { $0 != leader })
    try group.stop(gone)
    #expect(try client.call("SET", "later", "1") == .ok)
    #expect(try group.connect(leader).call("RAFT", "REMOVE", "\(gone.rawValue)") == .ok)
    _ = try group.eventually { try group.status(leader)["member\(gone.rawValue)"] == nil ? true : nil }
    #expect(try group.connect(leader).call("RAFT", "TRANSFER", "4") == .ok)
    _ = try group.eventually { try group.status(4)["role"] == "master" ? true : nil }
    leader = 4
    #expect(try group.connect(4).call("INCR", "later") == .integer(2))
  }

  @Test func changesThatAreNotSafeAreRefusedWithTheReason() throws {
    let group = try Group(1)
    let client = try group.connect(1)
    _ = try group.leader()
    #expect(try client.call("SET", "a", "1") == .ok)
    guard case .error(let why) = try client.call("RAFT", "REMOVE", "1") else {
      Issue.record("the last member was removed")
      return
    }
    #expect(why.hasPrefix("ERR "))
    for words in [["ADD", "0", "a:1"], ["ADD", "2", "nowhere"], ["DANCE"], ["STATUS", "more"]] {
      try client.send(Client.encode(["RAFT"] + words))
      let reply = try client.reply()
      if case .error = reply { continue }
      Issue.record("\(words) is answered by \(reply)")
    }
    #expect(try client.call("GET", "a") == .bulk("1"))
  }

  @Test func aMemberThatLostItsDiskRejoins() throws {
    let group = try Group()
    let client = try group.connect(1)
    for number in 0..<30 { #expect(try client.call("SET", "k\(number)", "v\(number)") == .ok) }
    let leader = try group.leader()
    let victim = try #require(group.founders.keys.sorted().first { $0 != leader })
    try group.loseDisk(victim)
    #expect(try group.connect(leader).call("SET", "meanwhile", "1") == .ok)
    try group.start(victim) { $0.lostItsDisk = true }
    _ = try group.eventually { try group.status(victim)["raft_repairing"] == "0" ? true : nil }
    #expect(try group.connect(victim).call("GET", "k7") == .bulk("v7"))
    #expect(try group.connect(victim).call("GET", "meanwhile") == .bulk("1"))
  }

  @Test func anEmptyDirectoryIsNoBootstrappedOne() throws {
    let group = try Group(1, starts: false)
    #expect(throws: ServerError.self) { try group.start(1) { $0.isBootstrapped = true } }
    try group.start(1)
    #expect(try group.connect(1).call("SET", "a", "1") == .ok)
    try group.stop(1)
    try group.start(1) { $0.isBootstrapped = true }
    #expect(try group.connect(1).call("GET", "a") == .bulk("1"))
  }

  @Test func theAutopilotReplacesASilentVoterAndStopsAtThree() throws {
    let group = try Group(4) { options in
      var settings = Autopilot.Settings()
      (settings.silence, settings.inSync) = (.milliseconds(1500), .milliseconds(500))
      options.autopilot = settings
    }
    let leader = try group.leader()
    #expect(try group.connect(leader).call("SET", "a", "1") == .ok)
    let others = group.founders.keys.sorted().filter { $0 != leader }
    try group.stop(others[0])
    _ = try group.eventually { try group.status(leader)["member\(others[0].rawValue)"] == nil ? true : nil }
    // A learner that keeps up becomes a voter, and then again there is one more than three.
    try group.start(5) { $0.peerAddress = "member:5" }
    #expect(try group.connect(leader).call("RAFT", "ADDLEARNER", "5", "member:5") == .ok)
    _ = try group.eventually { try group.status(group.leader())["member5"]?.hasPrefix("kind=voter") == true ? true : nil }
    #expect(try group.connect(5).call("GET", "a") == .bulk("1"))
  }

  // MARK: Reads that promise less

  @Test func leasesAndStaleReadsAnswer() throws {
    for reads in [ReplicationOptions.Reads.lease(maxClockDriftPPM: 1000), .stale(within: .seconds(5))] {
      let group = try Group { $0.reads = reads }
      let client = try group.connect(1)
      #expect(try client.call("SET", "a", "1") == .ok)
      let other = try group.connect(2)
      _ = try group.eventually { try other.call("GET", "a") == .bulk("1") ? true : nil }
    }
  }
}
