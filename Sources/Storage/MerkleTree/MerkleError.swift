public import StrataBytes

/// Why a tree, a proof or a reconciliation refused what it was given. Nothing was changed where one of these is thrown.
public enum MerkleError: Error, Sendable, Hashable {
  // The caller's mistakes.

  /// There is no leaf `index` in a tree of `size` leaves.
  case indexOutOfRange(index: Int, size: Int)
  /// No tree or proof of `size` leaves exists here; sizes go from 1 to `limit`.
  case invalidSize(size: Int, limit: Int)
  /// The tree has no such key.
  case keyNotFound([UInt8])
  /// What was asked for would take `required` bytes of memory; the stated limit is `cap`. Nothing was allocated.
  case tooLarge(required: Int, cap: Int)
  /// A reconciliation holds the range, so its tombstones must stay until it ends.
  case rangeInSession(session: UInt64)

  // The other side's, or damage on the way.

  /// A proof of another length than index and size ask for.
  case malformedProof(expected: Int, got: Int)
  /// A digest of another length than 32 bytes.
  case malformedDigest(bytes: Int)
  /// The proof leads to the root `computed`, which is not the one given: the proof, what it is about, or the root is not genuine.
  case rootMismatch(computed: Digest)
  /// The two sides do not speak of the same thing: `field` is `mine` here and `theirs` there.
  case incompatible(field: String, mine: String, theirs: String)
  /// A message that no correct peer sends. The session has ended; local data was not touched.
  case protocolError(reason: String)
  /// Bytes that are no tree, proof or message, or damaged ones.
  case damaged(DecodeError)
}

extension MerkleError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .indexOutOfRange(let index, let size): "no leaf \(index): the tree has \(size) leaves, counted from 0"
    case .invalidSize(let size, let limit): "no tree of \(size) leaves here; ask for a size from 1 to \(limit)"
    case .keyNotFound(let key): "no key \(hexText(key))"
    case .tooLarge(let required, let cap): "\(required) bytes of memory are needed, \(cap) are allowed; choose a smaller depth or a larger limit"
    case .rangeInSession(let session): "session \(session) holds this range; its tombstones can be dropped when it has ended"
    case .malformedProof(let expected, let got): "a proof of \(got) digests where index and size ask for \(expected); ask the prover again"
    case .malformedDigest(let bytes): "a digest of \(bytes) bytes; a digest has \(Digest.byteCount)"
    case .rootMismatch(let computed): "the proof leads to the root \(computed), not to the one given; do not trust it"
    case .incompatible(let field, let mine, let theirs): "\(field) is \(mine) here and \(theirs) on the other side; make them equal and begin again"
    case .protocolError(let reason): "the other side broke the protocol: \(reason); the session has ended, begin another"
    case .damaged(let error): "\(error)"
    }
  }
}

/// Bytes as hex, cut where they are many.
func hexText(_ bytes: [UInt8], limit: Int = 32) -> String {
  let text = bytes.prefix(limit).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  return bytes.count > limit ? text + "... (\(bytes.count) bytes)" : text
}
