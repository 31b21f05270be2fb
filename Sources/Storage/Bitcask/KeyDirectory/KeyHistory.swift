/// The side list of one shard: what keys were before they changed, as long as a snapshot needs to know.
struct KeyHistory {
  struct Version {
    /// The sequence that ended this version.
    var supersededAt: UInt64
    /// `nil`: the key was absent.
    var entry: DirectoryEntry?
    /// Keeps the version's file readable when a merge drops the segment.
    var segment: Segment?
  }

  private var versions: [[UInt8]: [Version]] = [:]

  var isEmpty: Bool { versions.isEmpty }

  /// Remembers what `key` was before `sequence` changed it. Sequences of one key rise from call to call.
  mutating func add(_ key: UnsafeRawBufferPointer, _ version: Version) { versions[[UInt8](key), default: []].append(version) }

  /// What `key` was at `sequence`: a version if it has changed since, `nil` if what is current now was current then.
  func version(_ key: UnsafeRawBufferPointer, at sequence: UInt64) -> Version? {
    guard !versions.isEmpty else { return nil }
    return versions[[UInt8](key)]?.first { $0.supersededAt > sequence }
  }

  /// Every key changed since `sequence` whose hash lies in `range`, with what it was.
  func changed(since sequence: UInt64, in range: Range<UInt64>, orEnd: Bool) -> [(key: [UInt8], version: Version)] {
    versions.compactMap { key, list in
      let hash = key.withUnsafeBytes { KeyHash(of: $0) }.value
      guard hash >= range.lowerBound, orEnd || hash < range.upperBound, let version = list.first(where: { $0.supersededAt > sequence }) else {
        return nil
      }
      return (key, version)
    }
  }

  /// Forgets what no snapshot at or above `sequence` needs; everything for `nil`. Returns how many versions went.
  mutating func forget(below sequence: UInt64?) -> Int {
    let before = versions.reduce(0) { $0 + $1.value.count }
    if let sequence {
      for (key, list) in versions {
        let kept = list.filter { $0.supersededAt > sequence }
        versions[key] = kept.isEmpty ? nil : kept
      }
    } else {
      versions = [:]
    }
    return before - versions.reduce(0) { $0 + $1.value.count }
  }
}
