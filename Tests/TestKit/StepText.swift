package import Model

extension Step {
    /// One line for people.
    package var line: String {
        switch self {
        case .launch(let id, _): return "launch \(id)"
        case .runTask(let id, _, let command): return "run \(id) \(command.joined(separator: " "))"
        case .check(let check): return "check \(check.idempotencyKey)"
        case .remove(let id, let reason, _): return "remove \(id) \(reason.rawValue)"
        case .restoreLimits(let id): return "restore limits \(id)"
        case .removeRoute: return "remove route"
        case .route(let route):
            let servers = route.servers.map { server in
                switch server.state {
                case .serving(let weight): "\(server.id)=\(weight)"
                case .warm: "\(server.id)=warm"
                case .draining: "\(server.id)=draining"
                }
            }
            let door = route.listener.map { "\($0.address.port)" } ?? "shut"
            return (["route \(door)"] + servers).joined(separator: " ")
        }
    }
}
