/// Judges a register whose every value is written once, in O(n log n), after Gibbons and Korach (Testing Shared Memories, 1997).
///
/// A write and the reads of its value form a cluster. Its zone reaches from its first return to its last invocation: forward if the return
/// comes first, and then the register must hold the value all the time between; backward otherwise, and then one moment in it suffices. The
/// part is linearizable exactly if every read follows its write, no two forward zones overlap and no backward zone lies within a forward one.
struct Zones {
  enum Answer {
    case linearizable
    /// These operations of the part contradict each other.
    case contradiction([Int])
    /// A value is written twice, or an operation is more than a read or a write.
    case notApplicable
  }

  private struct Cluster {
    var write = -1
    var writeInvoked = Int.max
    /// The first return and whose it is.
    var firstReturn = Int.max
    var firstReturned = -1
    /// The last invocation and whose it is.
    var lastInvocation = Int.min
    var lastInvoked = -1
    var reads = 0
    var isWritten = false

    var isForward: Bool { firstReturn < lastInvocation }
    var members: [Int] { [write, firstReturned, lastInvoked].filter { $0 >= 0 } }
  }

  private var clusters: [Cluster] = []

  static func judge(_ intervals: [LinearizabilitySearch.Interval], _ accesses: [RegisterAccess]) -> Answer {
    var zones = Zones()
    return zones.judge(intervals, accesses)
  }

  private mutating func judge(_ intervals: [LinearizabilitySearch.Interval], _ accesses: [RegisterAccess]) -> Answer {
    // Cluster 0 is the register before the first write, as if that had been written before everything.
    var initial = Cluster()
    initial.isWritten = true
    initial.writeInvoked = -1
    initial.firstReturn = -1
    initial.lastInvocation = -1
    clusters.append(initial)
    var clusterOf: [Int: Int] = [:]
    clusterOf.reserveCapacity(accesses.count / 2)
    var places = [Int32](repeating: 0, count: accesses.count)
    for (index, access) in accesses.enumerated() {
      switch access {
      case .read(nil): places[index] = 0
      case .read(let value?), .write(let value):
        let place = clusterOf[value] ?? clusters.count
        if place == clusters.count {
          clusterOf[value] = place
          clusters.append(Cluster())
        }
        places[index] = Int32(place)
        if case .write = access {
          if clusters[place].isWritten { return .notApplicable }
          clusters[place].isWritten = true
          clusters[place].write = index
          clusters[place].writeInvoked = intervals[index].invoked
        }
      }
    }
    for (index, interval) in intervals.enumerated() {
      let place = Int(places[index])
      if index != clusters[place].write { clusters[place].reads += 1 }
      if interval.invoked > clusters[place].lastInvocation {
        (clusters[place].lastInvocation, clusters[place].lastInvoked) = (interval.invoked, index)
      }
      guard let returned = interval.returned else { continue }
      if returned < clusters[place].firstReturn { (clusters[place].firstReturn, clusters[place].firstReturned) = (returned, index) }
    }
    return compare(intervals)
  }

  private func compare(_ intervals: [LinearizabilitySearch.Interval]) -> Answer {
    // A value that nobody read and whose write never returned may never have been written.
    let live = clusters.filter { $0.reads > 0 || $0.firstReturn < .max }
    for cluster in live {
      if !cluster.isWritten || cluster.firstReturn < cluster.writeInvoked { return .contradiction(cluster.members) }
    }
    let forward = live.filter(\.isForward).sorted { $0.firstReturn < $1.firstReturn }
    for index in forward.indices.dropFirst() where forward[index].firstReturn < forward[index - 1].lastInvocation {
      return .contradiction(forward[index - 1].members + forward[index].members)
    }
    for cluster in live where !cluster.isForward {
      // The last forward zone that begins before this one.
      var low = 0
      var high = forward.count
      while low < high {
        let middle = (low + high) / 2
        if forward[middle].firstReturn < cluster.lastInvocation { low = middle + 1 } else { high = middle }
      }
      if low > 0, cluster.firstReturn < forward[low - 1].lastInvocation {
        return .contradiction(forward[low - 1].members + cluster.members)
      }
    }
    return .linearizable
  }
}
