package import Model
package import Ports

/// Lets everything start: for tests that are about something else.
package struct OpenAdmission: AdmissionController {
    package init() {}

    package func decide(
        _ image: Digest, asking policy: AdmissionPolicy?, for key: ServiceKey, _ occasion: AdmissionOccasion,
        at now: Instant
    ) async -> AdmissionVerdict {
        AdmissionVerdict(image: image, message: "nothing is asked")
    }
}
