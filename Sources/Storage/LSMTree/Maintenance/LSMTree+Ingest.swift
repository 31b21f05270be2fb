public import SystemPackage

extension LSMTree {
  /// Adds tables that a `TableWriter` has made elsewhere, all of their entries as one write with one version; durable on return.
  ///
  /// The tables are read through, every checksum checked, and written anew under that version, so they stay as they are and may lie on another
  /// device. They come to lie as deep as nothing overlaps them. Writes go on while the tables are copied; those that are made while they become part
  /// of the store - one edit of the manifest, and before it the flush of a small memtable where one holds keys among theirs - return when it is done,
  /// submissions too. It ends however fast others write: there is no attempt that a writer could frustrate.
  ///
  /// A crash leaves all of the entries or none. One during the call may leave a write that was made beside it, and not yet acknowledged, without
  /// them.
  /// - Parameters:
  ///   - tables: of values and deletions, each key once, no two tables overlapping; what they say of sequences counts for nothing.
  ///   - version: the version of all the entries, for callers that order writes themselves, above ``lastVersion`` until the tables are copied.
  ///     Without one, versions are left out, about as many as the tables have bytes, so that writes can go on meanwhile.
  /// - Returns: the version of all the entries; ``lastVersion`` where there are none.
  /// - Throws: `.cannotIngest` where a table is none of that kind; `.versionOutOfOrder`, `.noSpace`, `.readOnly`, `.closed`. Nothing has changed
  ///   then, but for versions left out.
  @discardableResult
  public func ingest(_ tables: [FilePath], in keyspace: Keyspace? = nil, version: UInt64? = nil) throws(LSMError) -> UInt64 {
    try core.ingest(tables, keyspace ?? core.defaultKeyspace, version)
  }
}
