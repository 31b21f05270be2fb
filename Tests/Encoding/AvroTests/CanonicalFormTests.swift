import StrataRequirements
import Testing

@testable import StrataAvro

/// The published vectors of Apache Avro's schema-tests: text, canonical form, CRC-64-AVRO.
struct CanonicalFormTests {
  static let vectors: [(text: String, canonical: String, fingerprint: Int64?)] = [
    (#""null""#, #""null""#, 7_195_948_357_588_979_594),
    (#"{"type":"null"}"#, #""null""#, nil),
    (#""boolean""#, #""boolean""#, -6_970_731_678_124_411_036),
    (#"{"type":"boolean"}"#, #""boolean""#, nil),
    (#""int""#, #""int""#, 8_247_732_601_305_521_295),
    (#"{"type":"int"}"#, #""int""#, nil),
    (#""long""#, #""long""#, -3_434_872_931_120_570_953),
    (#"{"type":"long"}"#, #""long""#, nil),
    (#""float""#, #""float""#, 5_583_340_709_985_441_680),
    (#"{"type":"float"}"#, #""float""#, nil),
    (#""double""#, #""double""#, -8_181_574_048_448_539_266),
    (#"{"type":"double"}"#, #""double""#, nil),
    (#""bytes""#, #""bytes""#, 5_746_618_253_357_095_269),
    (#"{"type":"bytes"}"#, #""bytes""#, nil),
    (#""string""#, #""string""#, -8_142_146_995_180_207_161),
    (#"{"type":"string"}"#, #""string""#, nil),
    (#"[  ]"#, #"[]"#, -1_241_056_759_729_112_623),
    (#"[ "int"  ]"#, #"["int"]"#, -5_232_228_896_498_058_493),
    (#"[ "int" , {"type":"boolean"} ]"#, #"["int","boolean"]"#, 5_392_556_393_470_105_090),
    (
      #"{"fields":[], "type":"record", "name":"foo"}"#, #"{"name":"foo","type":"record","fields":[]}"#, -4_824_392_279_771_201_922
    ),
    (
      #"{"fields":[], "type":"record", "name":"foo", "namespace":"x.y"}"#, #"{"name":"x.y.foo","type":"record","fields":[]}"#,
      5_916_914_534_497_305_771
    ),
    (
      #"{"fields":[], "type":"record", "name":"a.b.foo", "namespace":"x.y"}"#, #"{"name":"a.b.foo","type":"record","fields":[]}"#,
      -4_616_218_487_480_524_110
    ),
    (
      #"{"fields":[], "type":"record", "name":"foo", "doc":"Useful info"}"#, #"{"name":"foo","type":"record","fields":[]}"#,
      -4_824_392_279_771_201_922
    ),
    (
      #"{"fields":[], "type":"record", "name":"foo", "aliases":["foo","bar"]}"#, #"{"name":"foo","type":"record","fields":[]}"#,
      -4_824_392_279_771_201_922
    ),
    (
      #"{"fields":[], "type":"record", "name":"foo", "doc":"foo", "aliases":["foo","bar"]}"#,
      #"{"name":"foo","type":"record","fields":[]}"#, -4_824_392_279_771_201_922
    ),
    (
      #"{"fields":[{"type":{"type":"boolean"}, "name":"f1"}], "type":"record", "name":"foo"}"#,
      #"{"name":"foo","type":"record","fields":[{"name":"f1","type":"boolean"}]}"#, 7_843_277_075_252_814_651
    ),
    (
      #"""
      { "fields":[{"type":"boolean", "aliases":[], "name":"f1", "default":"true"},
                  {"order":"descending","name":"f2","doc":"Hello","type":"int"}],
        "type":"record", "name":"foo" }
      """#,
      #"{"name":"foo","type":"record","fields":[{"name":"f1","type":"boolean"},{"name":"f2","type":"int"}]}"#, -4_860_222_112_080_293_046
    ),
    (
      #"{"type":"enum", "name":"foo", "symbols":["A1"]}"#, #"{"name":"foo","type":"enum","symbols":["A1"]}"#, -6_342_190_197_741_309_591
    ),
    (
      #"{"namespace":"x.y.z", "type":"enum", "name":"foo", "doc":"foo bar", "symbols":["A1", "A2"]}"#,
      #"{"name":"x.y.z.foo","type":"enum","symbols":["A1","A2"]}"#, -4_448_647_247_586_288_245
    ),
    (#"{"name":"foo","type":"fixed","size":15}"#, #"{"name":"foo","type":"fixed","size":15}"#, 1_756_455_273_707_447_556),
    (
      #"{"namespace":"x.y.z", "type":"fixed", "name":"foo", "doc":"foo bar", "size":32}"#,
      #"{"name":"x.y.z.foo","type":"fixed","size":32}"#, -3_064_184_465_700_546_786
    ),
    (#"{ "items":{"type":"null"}, "type":"array"}"#, #"{"type":"array","items":"null"}"#, -589_620_603_366_471_059),
    (#"{ "values":"string", "type":"map"}"#, #"{"type":"map","values":"string"}"#, -8_732_877_298_790_414_990),
    (
      #"{"name":"PigValue","type":"record", "fields":[{"name":"value", "type":["null", "int", "long", "PigValue"]}]}"#,
      #"{"name":"PigValue","type":"record","fields":[{"name":"value","type":["null","int","long","PigValue"]}]}"#,
      -1_759_257_747_318_642_341
    ),
  ]

  @Test(arguments: vectors.indices)
  func publishedVector(_ number: Int) throws {
    let vector = Self.vectors[number]
    // Number 26 has a text as default of a boolean, which only lenient rules overlook.
    let schema = try schema(vector.text, rules: number == 26 ? .lenient : .strict)
    #expect(schema.parsingCanonicalForm == vector.canonical)
    if let expected = vector.fingerprint { #expect(Int64(bitPattern: schema.rabinFingerprint) == expected) }
  }

  @Test func digestsOfThePublishedVectors() {
    let text = { (bytes: [UInt8]) in hex(bytes).filter { $0 != " " } }
    #expect(text(MD5.digest([])) == "d41d8cd98f00b204e9800998ecf8427e")
    #expect(text(MD5.digest(Array("message digest".utf8))) == "f96b697d7cb7938d525a2f31aaf161d0")
    let long = Array("12345678901234567890123456789012345678901234567890123456789012345678901234567890".utf8)
    #expect(text(MD5.digest(long)) == "57edf4a22be3c955ac49da2e2107b67a")
    #expect(text(SHA256.digest(Array("abc".utf8))) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    #expect(
      text(SHA256.digest(Array("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8)))
        == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
  }

  @Test(.requirement("Avro.never.10"))
  func fingerprintsIgnoreWhatEqualityDoesNot() throws {
    let plain = try schema(#""long""#)
    let timed = try schema(#"{"type": "long", "logicalType": "timestamp-millis"}"#)
    #expect(plain.rabinFingerprint == timed.rabinFingerprint)
    #expect(plain.fingerprint(.sha256) == timed.fingerprint(.sha256))
    #expect(plain != timed)
    let with = try schema(#"{"type":"record","name":"R","fields":[{"name":"a","type":["null","int"],"default":null}]}"#)
    let without = try schema(#"{"type":"record","name":"R","fields":[{"name":"a","type":["null","int"]}]}"#)
    #expect(with.rabinFingerprint == without.rabinFingerprint)
    #expect(with != without)
    #expect(plain.fingerprint(.rabin64) == (0..<8).map { UInt8(truncatingIfNeeded: plain.rabinFingerprint >> UInt64(8 * $0)) })
  }
}
