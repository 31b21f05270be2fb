/// How one transaction depends on another: bits, since between two there may be several kinds.
struct Dependency: OptionSet, Hashable {
  let rawValue: UInt8
  /// The second overwrote a version of the first.
  static let ww = Dependency(rawValue: 1)
  /// The second read a version of the first.
  static let wr = Dependency(rawValue: 2)
  /// The second overwrote a version the first had read.
  static let rw = Dependency(rawValue: 4)
  /// One client did the second after the first.
  static let process = Dependency(rawValue: 8)
  /// The second began after the first had ended.
  static let realtime = Dependency(rawValue: 16)

  /// The second wrote what the first had looked for and not found.
  static let predicate = Dependency(rawValue: 32)

  static let data: Dependency = [.ww, .wr, .rw]
  static let time: Dependency = [.process, .realtime]
}

/// Transactions and what leads from one to another. Edges are added first, in any order, then sealed.
struct DependencyGraph {
  struct Edge {
    let from: Int32
    let to: Int32
    let kind: Dependency
    /// The object, by number, and the values that show it: what `from` wrote or read, what `to` wrote.
    let key: Int32
    let before: Int
    let after: Int

    init(_ from: Int32, _ to: Int32, _ kind: Dependency, key: Int32 = -1, before: Int = .min, after: Int = .min) {
      self.from = from
      self.to = to
      self.kind = kind
      self.key = key
      self.before = before
      self.after = after
    }
  }

  let count: Int
  private(set) var edges: [Edge] = []
  /// Of each node the first of its edges in `edges`, which is sorted by origin once the graph is sealed.
  private(set) var first: [Int32] = []

  init(count: Int) { self.count = count }

  mutating func add(_ edge: Edge) { if edge.from != edge.to { edges.append(edge) } }

  /// Sorts the edges by their origin. O(n).
  mutating func seal() {
    first = Array(repeating: 0, count: count + 1)
    for edge in edges { first[Int(edge.from) + 1] += 1 }
    for node in 0..<count { first[node + 1] += first[node] }
    var place = first
    let unsorted = edges
    edges.withUnsafeMutableBufferPointer { sorted in
      for edge in unsorted {
        sorted[Int(place[Int(edge.from)])] = edge
        place[Int(edge.from)] += 1
      }
    }
  }

  @inline(__always)
  func out(_ node: Int) -> Range<Int> { Int(first[node])..<Int(first[node + 1]) }

  /// The strongly connected components with more than one node over edges of these kinds, smallest first (Tarjan, 1972). O(n), and no
  /// recursion. With `within`, of the nodes of that component only.
  func components(over kinds: Dependency, within members: [Int32]? = nil) -> [[Int32]] {
    var search = ComponentSearch(graph: self, kinds: kinds, members: members)
    return search.run().sorted { ($0.count, $0[0]) < ($1.count, $1[0]) }
  }
}

private struct ComponentSearch {
  let graph: DependencyGraph
  let kinds: Dependency
  private let roots: [Int32]
  private var index: [Int32]
  private var low: [Int32]
  private var isOnStack: [Bool]
  private var stack: [Int32] = []
  private var frames: [(node: Int32, edge: Int32)] = []
  private var next: Int32 = 1
  private var found: [[Int32]] = []

  init(graph: DependencyGraph, kinds: Dependency, members: [Int32]?) {
    self.graph = graph
    self.kinds = kinds
    // Nodes outside the component count as visited.
    index = Array(repeating: members == nil ? 0 : .max, count: graph.count)
    if let members { for member in members { index[Int(member)] = 0 } }
    low = Array(repeating: 0, count: graph.count)
    isOnStack = Array(repeating: false, count: graph.count)
    roots = members ?? (0..<Int32(graph.count)).map { $0 }
  }

  mutating func run() -> [[Int32]] {
    for root in roots where index[Int(root)] == 0 {
      enter(root)
      while let frame = frames.last { visit(frame) }
    }
    return found
  }

  private mutating func enter(_ node: Int32) {
    index[Int(node)] = next
    low[Int(node)] = next
    next += 1
    stack.append(node)
    isOnStack[Int(node)] = true
    frames.append((node, graph.first[Int(node)]))
  }

  private mutating func visit(_ frame: (node: Int32, edge: Int32)) {
    let node = Int(frame.node)
    var edge = frame.edge
    let end = graph.first[node + 1]
    while edge < end {
      let target = Int(graph.edges[Int(edge)].to)
      if graph.edges[Int(edge)].kind.isDisjoint(with: kinds) {
        edge += 1
        continue
      }
      if index[target] == 0 {
        frames[frames.count - 1].edge = edge + 1
        enter(Int32(target))
        return
      }
      if isOnStack[target] { low[node] = min(low[node], index[target]) }
      edge += 1
    }
    frames.removeLast()
    if let parent = frames.last { low[Int(parent.node)] = min(low[Int(parent.node)], low[node]) }
    guard low[node] == index[node] else { return }
    var component: [Int32] = []
    while let member = stack.popLast() {
      isOnStack[Int(member)] = false
      component.append(member)
      if member == frame.node { break }
    }
    if component.count > 1 { found.append(component) }
  }
}
