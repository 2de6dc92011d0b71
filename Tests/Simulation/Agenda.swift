/// What will happen by itself, and when: a heap, so that time can jump to the next of it.
struct Agenda: Sendable {
    enum Event: Sendable {
        /// `epoch`: the daemon that asked for it.
        case launchEnds(ordinal: Int, epoch: Int)
        case exits(ordinal: Int, status: Int)
        case removalEnds(ordinal: Int, epoch: Int)
        /// What was removed, or could not be, is told to the daemon.
        case removalTold(ordinal: Int, epoch: Int)
        case routeArrives(serial: Int)
        case routerReturns
        case gateAnswers(question: Int, epoch: Int)
        case daemonStarts(epoch: Int)
        case personActs
        /// Somebody sees that a write counts that was said to have failed.
        case denialNoticed
        case asksAgain(Request)
    }

    private struct Item: Sendable {
        var at: Int
        /// Keeps events of one time in the order in which they were planned.
        var order: Int
        var event: Event

        func isBefore(_ other: Item) -> Bool { at != other.at ? at < other.at : order < other.order }
    }

    private var items: [Item] = []
    private var added = 0

    var nextTime: Int? { items.first?.at }

    mutating func add(_ event: Event, at time: Int) {
        added += 1
        items.append(Item(at: time, order: added, event: event))
        var child = items.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard items[child].isBefore(items[parent]) else { return }
            items.swapAt(child, parent)
            child = parent
        }
    }

    /// The next event that is due, if any.
    mutating func take(until time: Int) -> Event? {
        guard let first = items.first, first.at <= time else { return nil }
        let last = items.removeLast()
        guard !items.isEmpty else { return first.event }
        items[0] = last
        var parent = 0
        while true {
            let left = 2 * parent + 1
            guard left < items.count else { break }
            let right = left + 1
            let child = right < items.count && items[right].isBefore(items[left]) ? right : left
            guard items[child].isBefore(items[parent]) else { break }
            items.swapAt(child, parent)
            parent = child
        }
        return first.event
    }
}
