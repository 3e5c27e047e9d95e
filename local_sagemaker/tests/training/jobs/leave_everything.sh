# A training job that reads all it is given and leaves both archives, for test_training_jobs.py.
set -e
cd /opt/ml
cat input/data/training/images/a.txt
echo
echo "loss=0.5"
echo "loss=0.25 then loss=9"
echo "loss=none"
cp input/config/*.json output/data
echo "$WORD" > output/data/word.txt
echo "$TRAINING_JOB_NAME $AWS_REGION" > output/data/environment.txt
mkdir model/1
echo graph > model/1/saved_model.pb
