import StrataRequirements
import Testing

@testable import StrataRESP

/// BF.* on every engine.
@Suite struct BloomTests {
  @Test(arguments: Session.Store.allCases) func anItemIsNewOnce(store: Session.Store) throws {
    let session = try Session(store)
    defer { try? session.close() }
    #expect(session.call("BF.ADD", "f", "a") == .integer(1))
    #expect(session.call("BF.ADD", "f", "a") == .integer(0))
    #expect(session.call("BF.MADD", "f", "a", "b", "c", "b") == .array([.integer(0), .integer(1), .integer(1), .integer(0)]))
    #expect(session.call("BF.EXISTS", "f", "b") == .integer(1))
    #expect(session.call("BF.EXISTS", "f", "z") == .integer(0))
    #expect(session.call("BF.MEXISTS", "f", "a", "z", "c") == .array([.integer(1), .integer(0), .integer(1)]))
    #expect(session.call("BF.CARD", "f") == .integer(3))
    #expect(session.call("BF.CARD", "none") == .integer(0))
    #expect(session.call("BF.EXISTS", "none", "a") == .integer(0))
    #expect(session.call("BF.MEXISTS", "none", "a", "b") == .array([.integer(0), .integer(0)]))
    #expect(session.call("BF.INFO", "none") == .error("ERR not found"))
  }

  @Test func repliesInRESP3AreBooleansAndMaps() throws {
    let session = try Session(.memory)
    session.context.reply.resp3 = true
    #expect(session.call("BF.ADD", "f", "a") == .boolean(true))
    #expect(session.call("BF.MADD", "f", "a", "b") == .array([.boolean(false), .boolean(true)]))
    #expect(session.call("BF.EXISTS", "f", "a") == .boolean(true))
    #expect(session.call("BF.MEXISTS", "f", "b", "z") == .array([.boolean(true), .boolean(false)]))
    guard case .map(let info) = session.call("BF.INFO", "f") else { return #expect(Bool(false), "no map") }
    #expect(info[0..<2] == [.simple("Capacity"), .integer(100)])
    #expect(info.count == 10)
  }

  @Test(arguments: Session.Store.allCases) func aFilterTellsWhatItIs(store: Session.Store) throws {
    let session = try Session(store)
    defer { try? session.close() }
    #expect(session.call("BF.RESERVE", "f", "0.01", "10", "EXPANSION", "3") == .ok)
    #expect(session.call("BF.RESERVE", "f", "0.01", "10") == .error("ERR item exists"))
    for number in 0..<11 { session.call("BF.ADD", "f", "\(number)") }
    #expect(session.call("BF.INFO", "f", "CAPACITY") == .array([.integer(40)]))
    #expect(session.call("BF.INFO", "f", "filters") == .array([.integer(2)]))
    #expect(session.call("BF.INFO", "f", "ITEMS") == .array([.integer(11)]))
    #expect(session.call("BF.INFO", "f", "EXPANSION") == .array([.integer(3)]))
    #expect(session.call("BF.INFO", "f", "COLOUR") == .error("ERR Invalid information value"))
    guard case .array(let size) = session.call("BF.INFO", "f", "SIZE"), case .integer(let bytes)? = size.first else {
      return #expect(Bool(false), "no size")
    }
    #expect(bytes > 40 && bytes < 200)
    // The two sub-filters are small: each is one page, which is there, and nothing else is.
    #expect(try session.partCount("f") == 2)
  }

  @Test(arguments: Session.Store.allCases) func aFixedFilterRefusesWhenFull(store: Session.Store) throws {
    let session = try Session(store)
    defer { try? session.close() }
    let full = Reply.error("ERR non scaling filter is full")
    for (key, words) in [("a", ["0.001", "2", "NONSCALING"]), ("b", ["0.001", "2", "EXPANSION", "0"])] {
      #expect(session.call((["BF.RESERVE", key] + words).map { Array($0.utf8) }) == .ok)
      #expect(session.call("BF.MADD", key, "1", "2", "3", "4") == .array([.integer(1), .integer(1), full]))
      #expect(session.call("BF.ADD", key, "3") == full)
      #expect(session.call("BF.ADD", key, "1") == .integer(0))
      #expect(session.call("BF.MEXISTS", key, "1", "2", "3") == .array([.integer(1), .integer(1), .integer(0)]))
      #expect(session.call("BF.CARD", key) == .integer(2))
      #expect(session.call("BF.INFO", key, "EXPANSION") == .array([.null]))
    }
    #expect(session.call("BF.INSERT", "c", "CAPACITY", "1", "NONSCALING", "ITEMS", "x", "y") == .array([.integer(1), full]))
  }

  @Test func insertMakesAFilterAsAsked() throws {
    let session = try Session(.memory)
    #expect(session.call("BF.INSERT", "f", "NOCREATE", "ITEMS", "a") == .error("ERR not found"))
    #expect(session.call("EXISTS", "f") == .integer(0))
    let made = session.call("BF.INSERT", "f", "CAPACITY", "7", "ERROR", "0.1", "EXPANSION", "5", "ITEMS", "a", "a")
    #expect(made == .array([.integer(1), .integer(0)]))
    #expect(session.call("BF.INFO", "f", "CAPACITY") == .array([.integer(7)]))
    #expect(session.call("BF.INFO", "f", "EXPANSION") == .array([.integer(5)]))
    #expect(session.call("BF.INSERT", "f", "NOCREATE", "CAPACITY", "9", "ITEMS", "b") == .array([.integer(1)]))
    #expect(session.call("BF.INFO", "f", "CAPACITY") == .array([.integer(7)]))
  }

  /// What cannot be is refused before anything is made of it.
  @Test(.requirement("Filters.never.5")) func badInputIsRefused() throws {
    let session = try Session(.memory)
    let range = "ERR (0 < error rate range < 1)"
    let tooLarge = "ERR could not create filter, it would take more than 536870912 bytes"
    for (words, text) in [
      (["BF.RESERVE", "f", "0", "100"], range), (["BF.RESERVE", "f", "1", "100"], range), (["BF.RESERVE", "f", "-0.5", "100"], range),
      (["BF.RESERVE", "f", "nan", "100"], range), (["BF.RESERVE", "f", "inf", "100"], range), (["BF.RESERVE", "f", "1e-400", "100"], range),
      (["BF.RESERVE", "f", "much", "100"], "ERR bad error rate"), (["BF.RESERVE", "f", "", "100"], "ERR bad error rate"),
      (["BF.RESERVE", "f", String(repeating: "0", count: 300) + ".1", "100"], "ERR bad error rate"),
      (["BF.RESERVE", "f", "0.01", "0"], "ERR (capacity should be larger than 0)"),
      (["BF.RESERVE", "f", "0.01", "-1"], "ERR (capacity should be larger than 0)"), (["BF.RESERVE", "f", "0.01", "1.5"], "ERR bad capacity"),
      (["BF.RESERVE", "f", "0.01", "9223372036854775808"], "ERR bad capacity"), (["BF.RESERVE", "f", "0.01", "1152921504606846976"], tooLarge),
      (["BF.RESERVE", "f", "0.01", "9223372036854775807"], tooLarge), (["BF.RESERVE", "f", "1e-300", "9223372036854775807"], tooLarge),
      (["BF.RESERVE", "f", "0.01", "1152921504606846976", "NONSCALING"], tooLarge),
      (["BF.RESERVE", "f", "0.01", "100", "EXPANSION"], "ERR no expansion"),
      (["BF.RESERVE", "f", "0.01", "100", "EXPANSION", "-1"], "ERR bad expansion"),
      (["BF.RESERVE", "f", "0.01", "100", "EXPANSION", "x"], "ERR bad expansion"),
      (["BF.RESERVE", "f", "0.01", "100", "EXPANSION", "32769"], "ERR bad expansion"),
      (["BF.RESERVE", "f", "0.01", "100", "EXPANSION", "2", "NONSCALING"], "Nonscaling filters cannot expand"),
      (["BF.RESERVE", "f", "0.01", "100", "GROWING"], "ERR syntax error"),
      (["BF.INSERT", "f", "CAPACITY", "0", "ITEMS", "a"], "ERR (capacity should be larger than 0)"),
      (["BF.INSERT", "f", "ERROR", "2", "ITEMS", "a"], range), (["BF.INSERT", "f", "COLOUR", "ITEMS", "a"], "ERR Unknown argument received"),
      (["BF.INSERT", "f", "NOCREATE", "ITEMS"], "ERR wrong number of arguments for 'bf.insert' command"),
      (["BF.INSERT", "f", "CAPACITY", "10"], "ERR wrong number of arguments for 'bf.insert' command"),
    ] {
      #expect(session.call(words.map { Array($0.utf8) }) == .error(text), "\(words)")
    }
    #expect(session.call("DBSIZE") == .integer(0))
    #expect(try session.keys().isEmpty)
  }

  /// The largest filter takes no memory and no disk before something is added, and then a page.
  @Test(arguments: Session.Store.allCases) func anEmptyPageIsNotStored(store: Session.Store) throws {
    let session = try Session(store)
    defer { try? session.close() }
    #expect(session.call("BF.RESERVE", "f", "0.01", "300000000") == .ok)
    #expect(session.call("BF.RESERVE", "g", "0.01", "400000000") == .error("ERR could not create filter, it would take more than 536870912 bytes"))
    #expect(try session.structures().parts.isEmpty)
    for number in 0..<50 { #expect(session.call("BF.ADD", "f", "\(number)") == .integer(1)) }
    #expect(try session.partCount("f") <= 50)
    for number in 0..<50 { #expect(session.call("BF.EXISTS", "f", "\(number)") == .integer(1)) }
  }

  /// A filter that may not grow any more says so, and stays what it is.
  @Test func growthEndsAtTheBound() throws {
    let session = try Session(.memory)
    #expect(session.call("BF.RESERVE", "f", "0.01", "1", "EXPANSION", "32768") == .ok)
    var refusal: Reply?
    for number in 0..<40_000 {
      guard case .array(let replies) = session.call("BF.MADD", "f", "\(number)"), let reply = replies.first else { continue }
      if case .error = reply {
        refusal = reply
        break
      }
    }
    #expect(session.call("BF.INFO", "f", "FILTERS") == .array([.integer(2)]))
    let text = "ERR the filter is full, it may not have more than 64 sub-filters or 536870912 bytes"
    #expect(refusal == .error(text))
    #expect(session.call("BF.ADD", "f", "further") == .error(text))
    #expect(session.call("BF.EXISTS", "f", "0") == .integer(1))
  }

  @Test func oneCommandChangesABoundedPart() throws {
    let session = try Session(.memory)
    #expect(session.call("BF.RESERVE", "f", "0.01", "100000000") == .ok)
    let many = (0..<6000).map { Array("i\($0)".utf8) }
    let text = "ERR the command would change more than 4194304 bytes of the filter; give fewer items at once"
    #expect(session.call([Array("BF.MADD".utf8), [0x66]] + many) == .error(text))
    #expect(session.call("BF.CARD", "f") == .integer(0))
    #expect(session.call("BF.EXISTS", "f", "i0") == .integer(0))
    guard case .array(let replies) = session.call([Array("BF.MADD".utf8), [0x66]] + many.prefix(4000)) else {
      return #expect(Bool(false), "no array")
    }
    #expect(replies.count == 4000)
    #expect(session.call("BF.CARD", "f") == .integer(Int64(replies.count { $0 == .integer(1) })))
  }
}
