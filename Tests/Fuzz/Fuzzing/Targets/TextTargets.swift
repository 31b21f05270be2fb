import StrataBytes
import StrataCheckers

/// Histories, JSON and ordered keys.
enum TextTargets {
  static var all: [FuzzTarget] { [history, json, key] }

  private static let jsonLines = """
    {"magic":"STRATA-HIST","version":1,"revision":"r"}
    {"i":0,"p":0,"t":1,"type":"invoke","f":"write","value":[1,"a",{"k":[null,true,-2.5e3]}]}
    {"i":1,"p":1,"t":2,"type":"invoke","f":"read","value":null}
    {"i":2,"p":0,"t":3,"type":"ok","f":"write","value":1}
    {"i":3,"p":1,"t":4,"type":"ok","f":"read","value":"\\u00e9\\ud83d\\ude00"}
    """

  private static let transactions = """
    {:index 0, :time 1, :type :invoke, :process 0, :f :txn, :value [[:append 1 1] [:r 1 nil]]}
    {:index 1, :time 2, :type :ok, :process 0, :f :txn, :value [[:append 1 1] [:r 1 [1]]]}
    {:index 2, :time 3, :type :invoke, :process 1, :f :txn, :value [[:w :x 2] [:r :y nil]]}
    {:index 3, :time 4, :type :info, :process 1, :f :txn, :value [[:w :x 2] [:r :y #{1 2}]], :error "a\\"b"}
    """

  private static let register = """
    [{:process 0, :type :invoke, :f :write, :value 3} {:process 1, :type :invoke, :f :cas, :value [3 4]}
     {:process 0, :type :ok, :f :write, :value 3} {:process 1, :type :fail, :f :cas, :value [3 4]}
     {:process :nemesis, :type :info, :f :start, :value nil}]
    """

  private static let etcd = """
    INFO  jepsen.util - 0	:invoke	:read	nil
    INFO  jepsen.util - 1	:invoke	:cas	[3 0]
    INFO  jepsen.util - 0	:ok	:read	nil
    INFO  jepsen.util - 1	:fail	:cas	[3 0]
    """

  private static let keyValue = """
    { :process 0, :type :invoke, :f :append, :key "1", :value "x 0 0 y" }
    { :process 0, :type :ok, :f :append, :key "1", :value "x 0 0 y" }
    """

  /// A history in any notation, judged for one thing: read or refused, and a verdict in bounded steps.
  static let history = FuzzTarget(
    "checkers.history", weight: 10, corpus: [jsonLines, transactions, register, etcd, keyValue].map { Array($0.utf8) },
    tokens: [
      "{", "}", "[", "]", "(", ")", "#{", "\"", ":", ",", "nil", "null", "#_", ";", "\\n", ":invoke", ":ok", ":info", ":value", ":process", ":txn",
      "\"records\":", "\"crc32c\":", "9223372036854775807", "-9223372036854775808", "1e308", "\\ud800", ":append", "[[[[[[[[", "INFO  jepsen.util - ",
    ]
  ) { bytes in
    guard let file = try? HistoryFile(reading: bytes) else { return false }
    let kind = CheckKind.allCases[bytes.count % CheckKind.allCases.count]
    var options = CheckOptions()
    options.budget = CheckBudget(memory: 1 << 22, steps: 1 << 12, threads: 1)
    _ = try? file.verdict(as: kind, options)
    demand((try? HistoryFile(reading: file.jsonLines(), as: .jsonLines)) != nil, "a history that was read cannot be written as JSON")
    demand((try? HistoryFile(reading: file.edn(), as: .edn)) != nil, "a history that was read cannot be written as EDN")
    return true
  }

  static let json = FuzzTarget(
    "bytes.json", weight: 10, corpus: [AvroTargets.schemas[5], #"{"a":[1,-2.5e-3,"\u00e9\ud83d\ude00\n",null,true],"b":{}}"#].map { Array($0.utf8) },
    tokens: ["{", "}", "[", "]", "\"", ":", ",", "null", "1e999", "-0", "\\u0000", "\\ud800", "\\udc00", "[[[[[[[["]
  ) { bytes in
    guard let value = try? JSON(parsing: bytes) else { return false }
    demand((try? JSON(parsing: Array(value.description.utf8))) != nil, "JSON that was read cannot be written")
    return true
  }

  static let key = FuzzTarget(
    "bytes.key", weight: 20,
    corpus: [[.null, .bytes([0, 1, 255]), .string("a\u{0}b")], [.int(-5), .uint(.max), .double(-0.5)], [.bool(true), .string("")]].map {
      OrderedKey.encode($0)
    }
  ) { bytes in
    var decoder = OrderedKeyDecoder(bytes.span.bytes)
    var elements: [OrderedKey.Element] = []
    while !decoder.isAtEnd {
      guard let element = try? decoder.next() else { return false }
      elements.append(element)
    }
    demand(OrderedKey.encode(elements) == bytes, "a key has two encodings")
    return true
  }
}
