/// What will happen and when: a 4-ary heap of times whose payloads lie in a slab, so that a push or pop moves 16-byte keys and, once
/// the queue has had its largest size, takes no memory.
///
/// Events of equal time leave in the order of a random tie-break, never in the order they were put in.
@usableFromInline
struct EventQueue<Payload> {
  @usableFromInline
  struct Key {
    @usableFromInline var time: UInt64
    @usableFromInline var tie: UInt32
    @usableFromInline var slot: UInt32

    /// Time, tie-break and slot as one number: comparing it takes two instructions and no branch.
    @inlinable var order: UInt128 { UInt128(time) << 64 | UInt128(UInt64(tie) << 32 | UInt64(slot)) }

    @inlinable
    func precedes(_ other: Key) -> Bool { order < other.order }

    @inlinable
    init(time: UInt64, tie: UInt32, slot: UInt32) {
      self.time = time
      self.tie = tie
      self.slot = slot
    }
  }

  @usableFromInline var heap: [Key] = []
  @usableFromInline var slab: [Payload?] = []
  @usableFromInline var free: [UInt32] = []

  @inlinable
  init() {}

  @inlinable var count: Int { heap.count }

  /// The time of the next event.
  @inlinable var nextTime: UInt64? { heap.first?.time }

  @inlinable
  mutating func push(_ payload: consuming Payload, at time: UInt64, tie: UInt32) {
    let slot: UInt32
    if let reused = free.popLast() {
      slot = reused
      slab[Int(slot)] = payload
    } else {
      slot = UInt32(slab.count)
      slab.append(payload)
    }
    heap.append(Key(time: time, tie: tie, slot: slot))
    heap.withUnsafeMutableBufferPointer { heap in
      var hole = heap.count - 1
      let key = heap[hole]
      while hole > 0 {
        let parent = (hole - 1) >> 2
        guard key.precedes(heap[parent]) else { break }
        heap[hole] = heap[parent]
        hole = parent
      }
      heap[hole] = key
    }
  }

  /// Takes the event that is next; the queue must not be empty.
  @inlinable
  mutating func pop() -> (time: UInt64, payload: Payload) {
    let first = heap[0]
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap.withUnsafeMutableBufferPointer { heap in
        // The hole goes down to a leaf by the least children, which processors predict well, and the last key then rises from there: it seldom
        // gets far, since it came from a leaf.
        var hole = 0
        while true {
          let child = hole << 2 + 1
          if child + 3 < heap.count {
            let left = heap[child + 1].precedes(heap[child]) ? child + 1 : child
            let right = heap[child + 3].precedes(heap[child + 2]) ? child + 3 : child + 2
            let least = heap[right].precedes(heap[left]) ? right : left
            heap[hole] = heap[least]
            hole = least
            continue
          }
          guard child < heap.count else { break }
          var least = child
          for other in child + 1..<max(child + 1, heap.count) where heap[other].precedes(heap[least]) { least = other }
          heap[hole] = heap[least]
          hole = least
        }
        while hole > 0 {
          let parent = (hole - 1) >> 2
          guard last.precedes(heap[parent]) else { break }
          heap[hole] = heap[parent]
          hole = parent
        }
        heap[hole] = last
      }
    }
    let slot = Int(first.slot)
    let payload = slab[slot].take()
    free.append(first.slot)
    return (first.time, payload!)
  }
}
