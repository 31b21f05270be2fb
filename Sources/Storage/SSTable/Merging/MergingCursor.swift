import StrataBytes

/// One sorted run out of several: the merging code of reads and of compactions alike.
///
/// Entries come in internal order; of two that are equal in key and trailer the one of the child named first comes first, so children are named
/// newest first. A move costs one move of a child and O(log n) comparisons of mostly one integer; while one child stays ahead of the rest it
/// costs two. Turning round positions every other child anew. Belongs to one thread at a time, as its children do.
public final class MergingCursor: Cursor {
  /// A child and the head of its key, which decides most comparisons. What else the child stands on is looked up there: a copy made right behind
  /// its move would wait for what the move has written piece by piece.
  private struct Slot {
    var head: UInt64
    var child: Int
  }

  private let children: [Cursor]
  // The children again, without a reference count per use: `children` keeps them alive as long as this object lives.
  private let unowned: UnsafeMutablePointer<Unmanaged<Cursor>>
  private let heap: UnsafeMutablePointer<Slot>
  // A cursor belongs to one thread and calls nobody back but its children: no access of it can overlap another.
  @exclusivity(unchecked) private var count = 0
  @exclusivity(unchecked) private var isForward = true

  /// A cursor over `children`, newest first; they are moved by this one alone from now on.
  public init(_ children: [Cursor]) {
    self.children = children
    heap = .allocate(capacity: max(1, children.count))
    unowned = .allocate(capacity: max(1, children.count))
    for (index, child) in children.enumerated() { (unowned + index).initialize(to: .passUnretained(child)) }
    super.init()
  }

  deinit {
    heap.deallocate()
    unowned.deallocate()
  }

  /// How many cursors it merges.
  package var childCount: Int { children.count }

  /// Which child the present entry comes from.
  public var source: Int { heap[0].child }

  // MARK: Positioning

  public override func first() throws(TableError) { try position(forward: true) { (child) throws(TableError) in try child.first() } }

  public override func last() throws(TableError) { try position(forward: false) { (child) throws(TableError) in try child.last() } }

  public override func seek(_ key: UnsafeRawBufferPointer, _ trailer: Trailer) throws(TableError) {
    try position(forward: true) { (child) throws(TableError) in try child.seek(key, trailer) }
  }

  public override func seekBefore(_ key: UnsafeRawBufferPointer, _ trailer: Trailer) throws(TableError) {
    try position(forward: false) { (child) throws(TableError) in try child.seekBefore(key, trailer) }
  }

  private func position(forward: Bool, _ move: (Cursor) throws(TableError) -> Void) throws(TableError) {
    isValid = false
    isForward = forward
    count = 0
    for (index, child) in children.enumerated() {
      try move(child)
      guard child.isValid else { continue }
      heap[count] = Slot(head: child.entry.head, child: index)
      count += 1
    }
    var index = count / 2 - 1
    while index >= 0 {
      siftDown(index)
      index -= 1
    }
    show()
  }

  // MARK: Moving

  public override func next() throws(TableError) {
    if !isForward { try turn(forward: true) } else { try advance() }
  }

  public override func previous() throws(TableError) {
    if isForward { try turn(forward: false) } else { try advance() }
  }

  /// Moves the winner one step in the present direction.
  @inline(__always)
  private func advance() throws(TableError) {
    let top = heap
    let forward = isForward
    var isLeft = false
    let failure: TableError? = unowned[top[0].child]._withUnsafeGuaranteedRef { child in
      do throws(TableError) {
        if forward { try child.next() } else { try child.previous() }
      } catch { return error }
      isLeft = child.isValid
      if isLeft { top[0].head = child.entry.head }
      return nil
    }
    if let failure { throw failure }
    if !isLeft {
      count &-= 1
      if count > 0 { heap[0] = heap[count] }
    }
    siftDown(0)
    show()
  }

  @inline(__always)
  private func show() {
    isValid = count > 0
    if count > 0 { unowned[heap[0].child]._withUnsafeGuaranteedRef { entry = $0.entry } }
  }

  /// Changes direction: everybody else goes to the other side of the present entry, then the winner steps.
  private func turn(forward: Bool) throws(TableError) {
    let here = entry
    let winner = heap[0].child
    isValid = false
    isForward = forward
    for (index, child) in children.enumerated() where index != winner {
      if forward { try child.seek(here.key, here.trailer) } else { try child.seekBefore(here.key, here.trailer) }
    }
    if forward { try children[winner].next() } else { try children[winner].previous() }
    count = 0
    for (index, child) in children.enumerated() where child.isValid {
      heap[count] = Slot(head: child.entry.head, child: index)
      count += 1
    }
    var index = count / 2 - 1
    while index >= 0 {
      siftDown(index)
      index -= 1
    }
    show()
  }

  @inline(__always)
  private func comesFirst(_ a: Slot, _ b: Slot) -> Bool {
    if a.head != b.head { return (a.head < b.head) == isForward }
    return unowned[a.child]._withUnsafeGuaranteedRef { x in
      unowned[b.child]._withUnsafeGuaranteedRef { y in
        let order = orderBehindHead(x.entry.key, y.entry.key)
        if order != 0 { return (order < 0) == isForward }
        if x.entry.trailer != y.entry.trailer { return (x.entry.trailer > y.entry.trailer) == isForward }
        return (a.child < b.child) == isForward
      }
    }
  }

  @inline(__always)
  private func siftDown(_ start: Int) {
    guard start < count else { return }
    var index = start
    let moving = heap[index]
    while true {
      var child = 2 &* index &+ 1
      guard child < count else { break }
      if child &+ 1 < count, comesFirst(heap[child &+ 1], heap[child]) { child &+= 1 }
      if !comesFirst(heap[child], moving) { break }
      heap[index] = heap[child]
      index = child
    }
    if index != start { heap[index] = moving }
  }
}
