import Testing

@testable import StrataRESP

/// CF.* on every engine.
@Suite struct CuckooTests {
  @Test(arguments: Session.Store.allCases) func itemsComeAndGo(store: Session.Store) throws {
    let session = try Session(store)
    defer { try? session.close() }
    #expect(session.call("CF.ADD", "f", "a") == .integer(1))
    #expect(session.call("CF.ADD", "f", "a") == .integer(1))
    #expect(session.call("CF.ADDNX", "f", "a") == .integer(0))
    #expect(session.call("CF.ADDNX", "f", "b") == .integer(1))
    #expect(session.call("CF.COUNT", "f", "a") == .integer(2))
    #expect(session.call("CF.COUNT", "f", "z") == .integer(0))
    #expect(session.call("CF.EXISTS", "f", "a") == .integer(1))
    #expect(session.call("CF.MEXISTS", "f", "a", "z", "b") == .array([.integer(1), .integer(0), .integer(1)]))
    #expect(session.call("CF.DEL", "f", "a") == .integer(1))
    #expect(session.call("CF.COUNT", "f", "a") == .integer(1))
    #expect(session.call("CF.DEL", "f", "a") == .integer(1))
    #expect(session.call("CF.DEL", "f", "a") == .integer(0))
    #expect(session.call("CF.EXISTS", "f", "a") == .integer(0))
    #expect(session.call("CF.EXISTS", "f", "b") == .integer(1))
    guard case .array(let info) = session.call("CF.INFO", "f") else { return #expect(Bool(false), "no array") }
    #expect(info.count == 16)
    #expect(info[6..<10] == [.simple("Number of items inserted"), .integer(1), .simple("Number of items deleted"), .integer(2)])
  }

  @Test func whatIsNotThereIsToldSo() throws {
    let session = try Session(.memory)
    #expect(session.call("CF.EXISTS", "f", "a") == .integer(0))
    #expect(session.call("CF.MEXISTS", "f", "a", "b") == .array([.integer(0), .integer(0)]))
    #expect(session.call("CF.COUNT", "f", "a") == .integer(0))
    #expect(session.call("CF.DEL", "f", "a") == .error("Not found"))
    #expect(session.call("CF.INFO", "f") == .error("ERR not found"))
    #expect(session.call("CF.INSERT", "f", "NOCREATE", "ITEMS", "a") == .error("ERR not found"))
    #expect(session.call("CF.INSERTNX", "f", "NOCREATE", "ITEMS", "a") == .error("ERR not found"))
    #expect(session.call("EXISTS", "f") == .integer(0))
  }

  @Test func repliesInRESP3() throws {
    let session = try Session(.memory)
    session.context.reply.resp3 = true
    #expect(session.call("CF.ADD", "f", "a") == .boolean(true))
    #expect(session.call("CF.ADDNX", "f", "a") == .boolean(false))
    #expect(session.call("CF.EXISTS", "f", "a") == .boolean(true))
    #expect(session.call("CF.MEXISTS", "f", "a", "z") == .array([.boolean(true), .boolean(false)]))
    #expect(session.call("CF.INSERT", "f", "ITEMS", "a", "c") == .array([.boolean(true), .boolean(true)]))
    #expect(session.call("CF.INSERTNX", "f", "ITEMS", "a", "d") == .array([.integer(0), .integer(1)]))
    #expect(session.call("CF.COUNT", "f", "a") == .integer(2))
    #expect(session.call("CF.DEL", "f", "a") == .boolean(true))
    guard case .map(let info) = session.call("CF.INFO", "f") else { return #expect(Bool(false), "no map") }
    #expect(info.count == 16)
  }

  @Test(arguments: Session.Store.allCases) func aFilterThatDoesNotGrowHoldsItsCapacity(store: Session.Store) throws {
    let session = try Session(store)
    defer { try? session.close() }
    #expect(session.call("CF.RESERVE", "f", "3000", "EXPANSION", "0") == .ok)
    #expect(session.call("CF.RESERVE", "f", "3000") == .error("ERR item exists"))
    var added = 0
    var refusal: Reply?
    while refusal == nil, added < 6000 {
      let reply = session.call("CF.ADD", "f", "\(added)")
      if reply == .integer(1) { added += 1 } else { refusal = reply }
    }
    #expect(refusal == .error("Filter is full"))
    #expect(added >= 3000)
    for number in 0..<added { #expect(session.call("CF.EXISTS", "f", "\(number)") == .integer(1)) }
    #expect(session.call("CF.INSERT", "f", "ITEMS", "0", "\(added)").description.contains("-1"))
  }

  @Test(arguments: Session.Store.allCases) func aFilterGrowsWhenFull(store: Session.Store) throws {
    let session = try Session(store)
    defer { try? session.close() }
    #expect(session.call("CF.RESERVE", "f", "4", "EXPANSION", "2") == .ok)
    for number in 0..<300 { #expect(session.call("CF.ADD", "f", "\(number)") == .integer(1)) }
    for number in 0..<300 { #expect(session.call("CF.EXISTS", "f", "\(number)") == .integer(1)) }
    guard case .array(let info) = session.call("CF.INFO", "f"), case .integer(let filters) = info[5] else {
      return #expect(Bool(false), "no array")
    }
    #expect((5...8).contains(filters))
    for number in 0..<300 { #expect(session.call("CF.DEL", "f", "\(number)") == .integer(1)) }
    #expect(session.call("CF.INFO", "f").description.contains("Number of items inserted, :0"))
  }

  /// One item fills its places again and again: growth ends at a bound and says so.
  @Test func growthEndsAtTheBound() throws {
    let session = try Session(.memory)
    var count: Int64 = 0
    var refusal: Reply?
    while refusal == nil, count < 1000 {
      let reply = session.call("CF.ADD", "f", "same")
      if reply == .integer(1) { count += 1 } else { refusal = reply }
    }
    #expect(refusal == .error("Maximum expansions reached"))
    #expect(count == 32 * 8)
    #expect(session.call("CF.COUNT", "f", "same") == .integer(count))
    #expect(session.call("CF.INSERT", "f", "ITEMS", "same", "other") == .array([.integer(-1), .integer(1)]))
  }

  @Test func badInputIsRefused() throws {
    let session = try Session(.memory)
    for (words, text) in [
      (["CF.RESERVE", "f", "x"], "Bad capacity"), (["CF.RESERVE", "f", "3"], "Capacity must be at least (BucketSize * 2)"),
      (["CF.RESERVE", "f", "-5"], "Capacity must be at least (BucketSize * 2)"),
      (["CF.RESERVE", "f", "0"], "Capacity must be at least (BucketSize * 2)"),
      (["CF.RESERVE", "f", "100", "BUCKETSIZE", "60"], "Capacity must be at least (BucketSize * 2)"),
      (["CF.RESERVE", "f", "100", "BUCKETSIZE", "0"], "BUCKETSIZE: value must be an integer between 1 and 255, inclusive."),
      (["CF.RESERVE", "f", "1000", "BUCKETSIZE", "256"], "BUCKETSIZE: value must be an integer between 1 and 255, inclusive."),
      (["CF.RESERVE", "f", "1000", "BUCKETSIZE"], "Couldn't parse BUCKETSIZE"),
      (["CF.RESERVE", "f", "1000", "BUCKETSIZE", "x"], "Couldn't parse BUCKETSIZE"),
      (["CF.RESERVE", "f", "1000", "MAXITERATIONS", "0"], "MAXITERATIONS: value must be an integer between 1 and 65535, inclusive."),
      (["CF.RESERVE", "f", "1000", "EXPANSION", "-1"], "EXPANSION: value must be an integer between 0 and 32768, inclusive."),
      (["CF.RESERVE", "f", "1000", "COLOUR", "1"], "ERR syntax error"),
      (["CF.RESERVE", "f", "1152921504606846976"], "ERR Could not create filter, it would take more than 536870912 bytes"),
      (["CF.RESERVE", "f", "9223372036854775807"], "ERR Could not create filter, it would take more than 536870912 bytes"),
      (["CF.INSERT", "f", "CAPACITY", "x", "ITEMS", "a"], "Bad capacity"), (["CF.INSERT", "f", "COLOUR", "ITEMS", "a"], "Unknown argument received"),
      (["CF.INSERT", "f", "CAPACITY", "9", "ITEMS"], "ERR wrong number of arguments for 'cf.insert' command"),
    ] {
      #expect(session.call(words.map { Array($0.utf8) }) == .error(text), "\(words)")
    }
    #expect(try session.keys().isEmpty)
    #expect(session.call("CF.RESERVE", "f", "200000000") == .ok)
    #expect(try session.structures().parts.isEmpty)
  }
}
