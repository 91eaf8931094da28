//! Applies steps in order and undoes them in reverse when one fails.

use std::fmt;

use rustix::io::Errno;

use crate::{Error, LinkRef, Result, Step};

/// Something that steps can be applied to: the kernel, or a stand-in in tests.
pub trait Apply {
    /// Applies one step, wholly or not at all.
    fn apply(&mut self, step: &Step) -> Result<()>;

    /// Returns whether a link is there although an error says that it is not. An implementation
    /// that cannot look returns false.
    fn has_link(&mut self, _: &LinkRef) -> bool {
        false
    }
}

/// Changes under way: what was applied so far can be undone as long as the transaction runs.
pub struct Transaction<'k, K> {
    kernel: &'k mut K,
    done: Vec<Step>,
}

impl<K: Apply> Transaction<'_, K> {
    /// Applies the steps in order and stops at the first that fails.
    pub fn apply(&mut self, steps: impl IntoIterator<Item = Step>) -> Result<()> {
        for step in steps {
            self.kernel.apply(&step)?;
            self.done.push(step);
        }
        Ok(())
    }

    /// Returns the kernel, to be asked between steps.
    pub fn kernel(&mut self) -> &mut K {
        self.kernel
    }
}

/// Why a transaction failed, and what could not be undone.
#[derive(Debug)]
pub struct Failed<E> {
    /// The error that ended it.
    pub cause: E,
    /// Errors met while undoing: empty when all is as before.
    pub not_undone: Vec<Error>,
}

impl<E: fmt::Display> fmt::Display for Failed<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cause)?;
        for error in &self.not_undone {
            write!(f, "; and could not be undone: {error}")?;
        }
        Ok(())
    }
}

/// Runs `work`; when it fails, undoes every step that it applied, in reverse.
///
/// Returns what `work` returned and the steps that were applied, in order.
pub fn transact<K: Apply, T, E>(
    kernel: &mut K,
    work: impl FnOnce(&mut Transaction<'_, K>) -> Result<T, E>,
) -> Result<(T, Vec<Step>), Failed<E>> {
    let mut transaction = Transaction { kernel, done: Vec::new() };
    match work(&mut transaction) {
        Ok(value) => Ok((value, transaction.done)),
        Err(cause) => {
            let done = transaction.done;
            Err(Failed { cause, not_undone: undo_all(kernel, &done) })
        }
    }
}

/// Undoes steps that were applied in this order, the last one first. It never stops: what is gone
/// already counts as undone, any other error is returned. An error that says that a link is gone is
/// checked: a record that is removed too early loses the link.
pub fn undo_all<K: Apply>(kernel: &mut K, done: &[Step]) -> Vec<Error> {
    let mut not_undone = Vec::new();
    for step in done.iter().rev().map(Step::inverse) {
        let error = kernel.apply(&step).err().filter(|error| {
            !is_done(&step, error) || step.link().is_some_and(|at| kernel.has_link(at))
        });
        not_undone.extend(error);
    }
    not_undone
}

/// Returns whether an error says that what a step removes is not there.
fn is_done(step: &Step, error: &Error) -> bool {
    error.is_gone()
        || match step {
            Step::RemoveAddress { .. } => error.errno() == Some(Errno::ADDRNOTAVAIL),
            Step::RemoveRoute { .. } => error.errno() == Some(Errno::SRCH),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::step::tests::one_of_each;

    /// Notes what is applied, and fails at chosen steps.
    #[derive(Default)]
    struct Fake {
        applied: Vec<Step>,
        fail_at: Vec<Step>,
        errno: i32,
        has_links: bool,
    }

    impl Apply for Fake {
        fn apply(&mut self, step: &Step) -> Result<()> {
            if self.fail_at.contains(step) {
                let source = io::Error::from_raw_os_error(self.errno);
                return Err(Error::Refused { action: step.to_string(), source, extack: None });
            }
            self.applied.push(step.clone());
            Ok(())
        }

        fn has_link(&mut self, _: &LinkRef) -> bool {
            self.has_links
        }
    }

    /// The steps, without two that are each other's inverse.
    fn steps() -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        for step in one_of_each() {
            if !steps.contains(&step.inverse()) {
                steps.push(step);
            }
        }
        steps
    }

    fn run(fake: &mut Fake, steps: &[Step]) -> Result<Vec<Step>, Failed<Error>> {
        transact(fake, |transaction| transaction.apply(steps.to_vec())).map(|((), done)| done)
    }

    #[test]
    fn applied_steps_are_returned_in_order() {
        let mut fake = Fake::default();
        assert_eq!(run(&mut fake, &steps()).unwrap(), steps());
        assert_eq!(fake.applied, steps());
    }

    /// Promise: failed-add-leaves-nothing
    #[test]
    fn a_failure_at_any_step_undoes_those_before_it_in_reverse() {
        const EPERM: i32 = 1;
        let steps = steps();
        for (position, step) in steps.iter().enumerate() {
            let mut fake = Fake { fail_at: vec![step.clone()], errno: EPERM, ..Fake::default() };
            let failed = run(&mut fake, &steps).unwrap_err();
            assert!(failed.cause.to_string().starts_with(&step.to_string()));
            assert!(failed.not_undone.is_empty());
            let done = &steps[..position];
            let undone = done.iter().rev().map(Step::inverse);
            let expected: Vec<Step> = done.iter().cloned().chain(undone).collect();
            assert_eq!(fake.applied, expected);
        }
    }

    #[test]
    fn undo_goes_on_after_an_error() {
        const EBUSY: i32 = 16;
        let steps = steps();
        let fail_at = vec![steps[1].inverse(), steps[3].inverse(), steps[4].clone()];
        let mut fake = Fake { fail_at, errno: EBUSY, ..Fake::default() };
        let failed = run(&mut fake, &steps).unwrap_err();
        let busy: Vec<bool> =
            failed.not_undone.iter().map(|error| error.to_string().contains("busy")).collect();
        assert_eq!(busy, [true, true]);
        assert_eq!(fake.applied[4..], [steps[2].inverse(), steps[0].inverse()]);
        assert!(failed.to_string().contains("; and could not be undone: "));
    }

    #[test]
    fn absent_link_counts_as_undone() {
        const ENODEV: i32 = 19;
        let steps = steps();
        let fail_at = vec![steps[0].inverse(), steps[1].clone()];
        let mut fake = Fake { fail_at, errno: ENODEV, ..Fake::default() };
        assert!(run(&mut fake, &steps).unwrap_err().not_undone.is_empty());
    }

    #[test]
    fn link_that_is_still_there_is_not_undone() {
        const ENODEV: i32 = 19;
        let at = LinkRef::pod("net1".parse().unwrap());
        let host = LinkRef::host("eth1".parse().unwrap());
        let steps = [Step::Move { from: host, to: at }];
        let fail_at = vec![steps[0].inverse()];
        let mut fake = Fake { fail_at, errno: ENODEV, has_links: true, ..Fake::default() };
        assert_eq!(undo_all(&mut fake, &steps).len(), 1);
        fake.has_links = false;
        assert_eq!(undo_all(&mut fake, &steps).len(), 0);
    }
}
