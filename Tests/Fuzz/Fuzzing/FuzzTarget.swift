import StrataNodes

/// A decoder under fuzzing: inputs it takes, and what may be relied on whatever the bytes are.
///
/// Input `index` of a seed is a function of the two, so that a number is all that must be kept of a failure.
package struct FuzzTarget: Sendable {
  /// `<block>.<decoder>`.
  package let name: String
  /// Its share of a run over all targets: what is quick and what strangers send is asked more often.
  package let weight: Int
  /// Valid inputs that the mutated ones are made from.
  package let corpus: [[UInt8]]
  /// Words that mean something in a text format.
  package let tokens: [[UInt8]]
  /// Makes checksums right again, so that what lies behind them is reached.
  package let mend: (@Sendable (inout [UInt8]) -> Void)?
  /// Decodes, and stops the process where the decoder or what it gave breaks its word. True where the bytes were accepted.
  package let decode: @Sendable ([UInt8]) -> Bool

  package init(
    _ name: String, weight: Int, corpus: [[UInt8]], tokens: [String] = [], mend: (@Sendable (inout [UInt8]) -> Void)? = nil,
    decode: @escaping @Sendable ([UInt8]) -> Bool
  ) {
    precondition(!corpus.isEmpty, "\(name) has nothing to begin with")
    self.name = name
    self.weight = weight
    self.corpus = corpus
    self.tokens = tokens.map { Array($0.utf8) }
    self.mend = mend
    self.decode = decode
  }

  /// The input of this number.
  package func input(seed: UInt64, index: Int) -> [UInt8] {
    var mutator = Mutator(random: Random(seed: seed).fork("fuzz", index), corpus: corpus, tokens: tokens)
    var bytes = mutator.start()
    // With checksums, half of the inputs are damage on the way, half are what an attacker would write.
    let isMended = mend != nil && mutator.random.chance(1, in: 2)
    mutator.mutate(&bytes)
    if isMended { mend?(&bytes) }
    return bytes
  }

  /// Decodes the inputs of these numbers; gives how many were accepted. `note` is called with each number before it.
  package func run(seed: UInt64, _ indices: Range<Int>, note: (Int) -> Void = { _ in }) -> Int {
    var accepted = 0
    for index in indices {
      note(index)
      if decode(input(seed: seed, index: index)) { accepted += 1 }
    }
    return accepted
  }
}

/// Stops the process where something does not hold: the fuzzer's way to report what a decoder must not do.
func demand(_ holds: Bool, _ law: @autoclosure () -> String) {
  if !holds { broken(law()) }
}

/// Stops the process and says which law was broken.
func broken(_ law: String) -> Never {
  // A release build says nothing where a precondition fails; this is said in every build.
  fatalError(law)
}

/// What a corpus is made with cannot fail; where it does, the target is wrong.
func made<Result>(_ body: () throws -> Result) -> Result {
  do { return try body() } catch { broken("a corpus cannot be made: \(error)") }
}
