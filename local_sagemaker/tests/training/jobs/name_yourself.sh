# A training job whose instances each leave a file under their own name, for test_training_jobs.py.
host=$(sed 's/.*"current_host": "\([^"]*\)".*/\1/' /opt/ml/input/config/resourceconfig.json)
echo "$host" > "/opt/ml/model/$host"
echo "I am $host"
