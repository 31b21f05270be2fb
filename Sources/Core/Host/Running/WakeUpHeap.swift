/// A queue ordered by time: what was put in for the earliest moment comes out first, and of one moment's what was put in first.
///
/// A binary heap: O(log n) to put in and take out. Entries are not found again: whoever changes its mind puts in another one and knows the old one
/// for stale when it comes out, or clears them out together with ``keep(where:)``.
struct WakeUpHeap<Element> {
  struct Entry {
    var at: UInt64
    var order: UInt64
    var element: Element
  }

  private(set) var entries: [Entry] = []
  /// The order of the newest entry.
  private(set) var newest: UInt64 = 0

  var count: Int { entries.count }
  var first: Entry? { entries.first }

  mutating func insert(_ element: Element, at time: UInt64) {
    newest += 1
    entries.append(Entry(at: time, order: newest, element: element))
    rise(entries.count - 1)
  }

  mutating func removeFirst() -> Entry? {
    guard let first = entries.first else { return nil }
    let last = entries.removeLast()
    if !entries.isEmpty {
      entries[0] = last
      sink(0)
    }
    return first
  }

  mutating func removeAll() { entries = [] }

  /// Drops every entry for which `isWanted` says no; O(n).
  mutating func keep(where isWanted: (Element) -> Bool) {
    entries.removeAll { !isWanted($0.element) }
    for index in stride(from: entries.count / 2 - 1, through: 0, by: -1) { sink(index) }
  }

  private static func isBefore(_ a: Entry, _ b: Entry) -> Bool { a.at != b.at ? a.at < b.at : a.order < b.order }

  private mutating func rise(_ start: Int) {
    var index = start
    while index > 0 {
      let parent = (index - 1) / 2
      guard Self.isBefore(entries[index], entries[parent]) else { return }
      entries.swapAt(index, parent)
      index = parent
    }
  }

  private mutating func sink(_ start: Int) {
    var index = start
    while true {
      var least = index
      for child in [2 * index + 1, 2 * index + 2] where child < entries.count && Self.isBefore(entries[child], entries[least]) { least = child }
      if least == index { return }
      entries.swapAt(index, least)
      index = least
    }
  }
}
