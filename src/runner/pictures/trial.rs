//! Trial: which pictures a trial of the local runner is compared by, and where they come from.

use super::PictureCheck;
use crate::io::held;
use crate::runner::response::Response;
use crate::runner::{LocalRunner, Repetitions, Runner, TrialRequest};
use crate::trial::{Outcome, Phase};

impl LocalRunner {
    /// What the pictures of a trial are held to, where the job's are compared.
    pub(in crate::runner) fn picture_check<'a>(
        &'a self,
        request: &'a TrialRequest,
    ) -> Option<PictureCheck<'a>> {
        let custom = self.custom_job.as_ref()?;
        // A test of memory has nothing to compare its picture with.
        let is_test = request.phase == Phase::Calibration && request.values != self.baseline();
        (!is_test).then_some(())?;
        Some(PictureCheck {
            job: custom.pictures()?,
            folder: custom.folder()?,
            scratch: held::now(&self.scratch),
            workload: &request.workload,
            values: &request.values,
            baseline: self.baseline(),
            least_db: request.min_psnr_db,
        })
    }

    /// The same trial of the baseline, for its pictures; `None` where they are there, or come from
    /// this very trial.
    pub(in crate::runner) fn for_pictures(&self, request: &TrialRequest) -> Option<TrialRequest> {
        let check = self.picture_check(request)?;
        let is_asked = check.job.files.is_some() || check.may_differ();
        (is_asked && !check.is_of_baseline() && check.lacks_reference()).then(|| TrialRequest {
            values: check.baseline,
            repetitions: Repetitions::exactly(1),
            early_stop_s: None,
            ready_s: None,
            ..request.clone()
        })
    }

    /// What is said of a trial where the baseline did not make its pictures.
    pub(in crate::runner) fn without_pictures(mut answer: Response) -> Response {
        // It says nothing of the candidate; what the tuner itself ended keeps its words.
        if answer.outcome.is_failure() {
            answer.outcome = Outcome::Interrupted;
            answer.detail = format!("the baseline, for its pictures: {}", answer.detail);
        }
        answer
    }
}
