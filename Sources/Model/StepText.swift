extension Step {
    /// What the step does, for people.
    package var text: String {
        switch self {
        case .launch(let id, let release): return "launch \(id) of \(release)"
        case .runTask(let id, let release, let command):
            return "run \(command.joined(separator: " ")) once, in \(id) of \(release)"
        case .check(let check): return "ask gate \(check.gate.name)"
        case .remove(let id, let reason, _): return "remove \(id) (\(reason.rawValue))"
        case .restoreLimits(let id): return "put the limits of \(id) back"
        case .removeRoute(let key): return "stop listening for \(key)"
        case .route(let route):
            let serving = route.servers.filter(\.state.isServing)
            let others = route.servers.count - serving.count
            let names = serving.map(\.id.text).joined(separator: ", ")
            let place = route.listener.map { " at \($0.address)" } ?? ""
            return serving.isEmpty
                ? "probe \(counted(others, "instance")), without traffic"
                : "send all new requests\(place) to \(names)"
                    + (others > 0 ? "; \(counted(others, "other")) without" : "")
        }
    }
}
