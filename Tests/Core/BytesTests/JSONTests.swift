import StrataNodes
import StrataRequirements
import Testing

@testable import StrataBytes

struct JSONTests {
  @Test func everyKindOfValueSurvives() throws {
    let value = JSON.object([
      .init("a", .array([.null, .bool(true), .bool(false), .integer(-5), .number("1.50e3"), .number("18446744073709551615")])),
      .init("b \"\\/\n\u{1}\u{2028}é😀", .string("\u{7f}\t\r\u{8}\u{c}")), .init("empty", .object([])), .init("none", .array([])),
      .init("least", .integer(.min)),
    ])
    #expect(try JSON(parsing: value.description.utf8) == value)
    #expect(value["a"]?.array?.count == 6)
  }

  @Test(arguments: [
    (#" [ 1 , {"x" : "A\ud83d\ude00" } ] "#, #"[1,{"x":"A😀"}]"#), ("-0", "0"), (#""\/\b\f""#, #""/\u0008\u000c""#), ("{}", "{}"),
    ("1e5", "1e5"),
  ])
  func textsMeanWhatTheStandardSays(_ text: String, _ canonical: String) throws {
    #expect(try JSON(parsing: text.utf8).description == canonical)
  }

  @Test(arguments: [
    "", " ", "nul", "[1,]", "{\"a\"}", "{\"a\":1,}", "{a:1}", "01", "-", "1.", "1e", "+1", "\"", "\"\\x\"", "\"\\ud800\"", "\"\\ud800\\u0041\"",
    "\"\\udc00\"", "\"\u{1}\"", "1 2", "[", "]", "\"\\u12\"", "\"\\u+123\"", String(repeating: "[", count: 100_000),
  ])
  func whatIsNotJSONIsRefused(_ text: String) {
    #expect(throws: JSONError.self) { try JSON(parsing: text.utf8) }
  }

  @Test func textThatIsNotUTF8IsRefused() {
    #expect(throws: JSONError.self) { try JSON(parsing: [0x22, 0xFF, 0x22]) }
  }

  @Test func randomBytesNeverTrap() {
    var random = Random(seed: 5)
    let alphabet = Array("{}[]\",:\\u0123456789truefalsn.-+eE \n\u{1}é".utf8)
    for _ in 0..<50_000 * testDepth {
      let text = (0..<random.below(24)).map { _ in alphabet[random.below(alphabet.count)] }
      if let value = try? JSON(parsing: text) {
        #expect((try? JSON(parsing: value.description.utf8)) == value, "\(text)")
      }
    }
  }

  @Test func largeIntegersBecomeText() {
    #expect(JSON.exact(1 << 53) == .integer(1 << 53))
    #expect(JSON.exact(.max) == .string("18446744073709551615"))
    #expect(JSON.string("12").integer == 12)
  }
}
