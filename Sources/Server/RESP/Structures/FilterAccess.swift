import StrataFilters

/// A filter while one command works on it: its root, and the pages read so far with what the command changed in them. Nothing is written before
/// ``CommandContext/commit(_:to:)``.
struct FilterAccess {
  /// Bytes of pages one command may change, which bounds its memory and its write.
  static let maxChangedBytes = 4 << 20

  let type: RecordType
  var root: FilterRoot
  var expiry: UInt64 = 0
  /// There was no filter; the command makes one.
  var isNew: Bool
  var rootIsChanged = false
  /// By the number of the page among those of all sub-filters.
  var pages: [UInt32: [UInt8]] = [:]
  var changed: Set<UInt32> = []

  init(_ type: RecordType, _ root: FilterRoot, isNew: Bool) {
    self.type = type
    self.root = root
    self.isNew = isNew
  }

  /// Takes a page as the command has changed it; false where the command changes too much.
  mutating func change(_ page: UInt32, to bytes: [UInt8]) -> Bool {
    pages[page] = bytes
    changed.insert(page)
    rootIsChanged = true
    return changed.count * bytes.count <= Self.maxChangedBytes
  }

  /// Forgets pages that were only read, when they have become many.
  mutating func trim() {
    guard pages.count > changed.count + 1024 else { return }
    pages = pages.filter { changed.contains($0.key) }
  }

  /// Bytes of all pages, present or not.
  var byteCount: UInt64 {
    root.parts.reduce(0) { sum, part in
      sum + (type == .bloom ? PagedBloom(part)?.byteCount ?? 0 : PagedCuckoo(part)?.byteCount ?? 0)
    }
  }

  func pageBytes(_ part: FilterRoot.Part) -> Int {
    type == .bloom ? PagedBloom(part)?.pageBytes ?? 0 : PagedCuckoo(part)?.pageBytes ?? 0
  }
}

/// Filters in the store. The keyspace's lock is held.
extension CommandContext {
  static var damagedFilter: CommandError { .failed("ERR the filter's record is damaged; delete the key and make it anew") }
  static var tooManyPages: CommandError {
    .failed("ERR the command would change more than \(FilterAccess.maxChangedBytes) bytes of the filter; give fewer items at once")
  }

  /// The filter of this type under a key; `nil` for none.
  /// - Throws: `.wrongType` for a value of another kind.
  mutating func filter(_ key: UnsafeRawBufferPointer, _ type: RecordType) throws(CommandError) -> FilterAccess? {
    guard let record = try record(key) else { return nil }
    guard record.found.type == type else { throw .wrongType }
    guard let root = FilterRoot(decoding: record.bytes, type) else { throw Self.damagedFilter }
    var access = FilterAccess(type, root, isNew: false)
    access.expiry = record.found.expiry
    return access
  }

  /// A page; all zeros where it was never written.
  mutating func page(_ number: UInt32, bytes: Int, of access: inout FilterAccess) throws(CommandError) -> [UInt8] {
    if let page = access.pages[number] { return page }
    let page: [UInt8]
    if access.isNew {
      page = [UInt8](repeating: 0, count: bytes)
    } else {
      page = try stored(StructureKeys.part(access.root.number, number)) ?? [UInt8](repeating: 0, count: bytes)
      guard page.count == bytes else { throw Self.damagedFilter }
    }
    access.pages[number] = page
    return page
  }

  /// What is stored under a key that is no client's.
  private mutating func stored(_ key: [UInt8]) throws(CommandError) -> [UInt8]? {
    try key.span.bytes.withUnsafeBytes { (key) throws(CommandError) in try value(key)?.bytes }
  }

  /// The number the next structure gets, and the change that gives it out. The same at every member of a group, as it follows from the store.
  mutating func nextNumber() throws(CommandError) -> (number: UInt64, Mutation) {
    let stored = try stored(StructureKeys.counter) ?? []
    let last = stored.count == 8 ? stored.reversed().reduce(0) { $0 << 8 | UInt64($1) } : 0
    let number = last &+ 1
    let bytes = (0..<8).map { UInt8(truncatingIfNeeded: number >> UInt64(8 * $0)) }
    return (number, .put(key: StructureKeys.counter, value: bytes, expiry: 0))
  }

  /// Gives a new filter its number. Items are hashed with a seed that follows from it, so this comes before all others.
  mutating func open(_ access: inout FilterAccess) throws(CommandError) -> Mutation? {
    guard access.isNew else { return nil }
    let (number, counter) = try nextNumber()
    access.root.number = number
    access.root.seed = PagedHash.inner(number &* 0x9E37_79B9_7F4A_7C15)
    access.rootIsChanged = true
    return counter
  }

  /// Writes what the command changed: pages, root, and for a new filter registration and counter, all or nothing.
  mutating func commit(_ access: FilterAccess, _ counter: Mutation?, to key: UnsafeRawBufferPointer) throws(CommandError) {
    guard access.rootIsChanged else { return }
    var mutations: [Mutation] = []
    for number in access.changed.sorted() {
      guard let page = access.pages[number] else { continue }
      mutations.append(.put(key: StructureKeys.part(access.root.number, number), value: page, expiry: 0))
    }
    if let counter {
      mutations.append(counter)
      mutations.append(.put(key: StructureKeys.registration(access.root.number), value: [UInt8](key), expiry: 0))
    }
    let stamp = RecordStamp(access.type, expiry: access.expiry)
    mutations.append(.put(key: [UInt8](key), value: access.root.encoded(), expiry: stamp.bits))
    try submit(mutations)
  }

  /// The hash of an item, by which all sub-filters are asked.
  func hash(_ item: UnsafeRawBufferPointer, _ access: FilterAccess) -> UInt64 { FilterHash.hash64(item, seed: access.root.seed) }

  /// COPY of a filter: root and pages under a number of their own, in one batch.
  mutating func copyFilter(_ bytes: [UInt8], _ found: Found, to target: UnsafeRawBufferPointer) throws(CommandError) {
    guard let root = FilterRoot(decoding: bytes, found.type) else { throw Self.damagedFilter }
    var source = FilterAccess(found.type, root, isNew: false)
    guard source.byteCount <= UInt64(FilterAccess.maxChangedBytes) else {
      throw .failed("ERR the filter has more than \(FilterAccess.maxChangedBytes) bytes, too many to be copied in one step")
    }
    var copy = FilterAccess(found.type, root, isNew: true)
    copy.expiry = found.expiry
    let (number, counter) = try nextNumber()
    copy.root.number = number
    copy.rootIsChanged = true
    var first: UInt32 = 0
    for part in root.parts {
      for page in first..<(first + part.pages) {
        let bytes = try self.page(page, bytes: source.pageBytes(part), of: &source)
        if bytes.contains(where: { $0 != 0 }) { _ = copy.change(page, to: bytes) }
      }
      first += part.pages
    }
    try commit(copy, counter, to: target)
  }

  // MARK: before the lock is taken

  /// Reads what a command on a filter will read, without the lock and waiting for the disk, so that it is in memory afterwards. Errors show when the
  /// command itself reads.
  mutating func prefetchFilter(_ call: Invocation, items: Range<Int>) throws(CommandError) {
    mayWait = true
    let key = try key(call[1])
    guard let record = try record(key), let root = FilterRoot(decoding: record.bytes, record.found.type) else {
      _ = try nextNumber()
      return
    }
    let access = FilterAccess(record.found.type, root, isNew: false)
    var seen: Set<UInt32> = []
    for index in items {
      let hash = hash(call[index], access)
      for (place, part) in root.parts.enumerated() {
        let page = access.type == .bloom ? PagedBloom(part)?.page(of: hash) : PagedCuckoo(part)?.page(of: hash)
        guard let page, seen.count < 4096, seen.insert(root.firstPage(place) &+ page).inserted else { continue }
        _ = try stored(StructureKeys.part(root.number, root.firstPage(place) &+ page))
      }
    }
  }
}
